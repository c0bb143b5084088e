/**
 * `aipassd get-secret`: reports whether an opaque secret is there, or writes it into a file. Never
 * prints a value.
 */

import { dirname, resolve } from 'node:path';
import { AipassError, systemErrorCode } from '../../base/errors.ts';
import { flag, textOption, optionalWord, UsageError } from '../options.ts';
import { defineVerb } from '../verb.ts';

/** Looks an opaque secret up. */
export const getSecret = defineVerb({
  name: 'get-secret',
  summary: 'report whether an opaque secret exists, or write it into a file; never prints a value',
  parameters: {
    name: optionalWord('<provider>/<slug>; with --list a provider, or nothing for all', 'secrets'),
    out: textOption('FILE', 'write the value, byte for byte, into FILE (mode 0600), a new file in an existing folder', {
      completion: 'files',
    }),
    force: flag('with --out: replace FILE where it exists'),
    list: flag('list the secrets, of one provider or of all'),
    json: flag('with --out: write the JSON file as it is, not only its value; else print what is known of it'),
  },
  async run({ name, out: file, force, list, json }, { out, connect }) {
    if (list) {
      const { secrets } = await (await connect()).request('secret.list', { provider: name });
      if (json) out.json(secrets);
      else if (secrets.length === 0)
        out.note(name === undefined ? 'there is no secret yet' : `there is no secret of ${name}`);
      else out.line(...secrets.map((one) => (name === undefined ? one.name : one.name.slice(name.length + 1))));
      return 0;
    }
    if (name === undefined || !/^[^/]+\/[^/]+$/.test(name)) {
      throw new UsageError(
        `<name>: not <provider>/<slug> (got ${name === undefined ? 'nothing' : JSON.stringify(name)})`,
        'write for example: aipassd get-secret telegram/bot; aipassd get-secret --list shows what there is',
      );
    }
    if (file !== undefined) await assertWritable(file, force);
    const aipass = await connect();
    if (file === undefined) {
      const { secrets } = await aipass.request('secret.list', { provider: name.slice(0, name.indexOf('/')) });
      const found = secrets.find((one) => one.name === name);
      if (!found) throw new AipassError('NOT_FOUND', `no secret ${name}`, { hint: 'see: aipassd get-secret --list' });
      if (json) out.json({ ...found, set: true });
      else out.line(`${name}: set (${found.chars} chars)`);
      return 0;
    }
    // Exactly as it is stored: an SSH key without its last line end is not one.
    const content = await aipass.secret(name, { bytes: true, json });
    const { createFileAtomic, writeFileAtomic } = await import('../../base/atomic-write.ts');
    if (force) await writeFileAtomic(resolve(file), content);
    else {
      await createFileAtomic(resolve(file), content).catch((error: unknown) => {
        throw systemErrorCode(error) === 'EEXIST' ? isThere(file) : error;
      });
    }
    out.line(`Wrote ${name} to ${file}`);
    return 0;
  },
});

/**
 * Rejects a target that is not an ordinary file, because a device or a pipe would be replaced by
 * one; an existing file, unless it is to be replaced; and one in a missing folder, which is more
 * likely misspelt than meant.
 */
async function assertWritable(file: string, force: boolean): Promise<void> {
  const path = resolve(file);
  const { lstat, stat } = await import('node:fs/promises');
  const found = await stat(path).catch(() => null);
  if (file === '' || /^\/(dev|proc)\//.test(path) || (found !== null && !found.isFile())) {
    throw new UsageError(
      `--out: not the path of an ordinary file (got "${file}")`,
      'write the path of a new or an ordinary file',
    );
  }
  if (!force && (await lstat(path).catch(() => null)) !== null) throw isThere(file);
  const folder = await stat(dirname(path)).catch(() => null);
  if (folder?.isDirectory() === true) return;
  throw new AipassError('NOT_FOUND', `there is no folder ${dirname(path)}`, { hint: 'make it, or write another path' });
}

function isThere(file: string): AipassError {
  return new AipassError('BAD_REQUEST', `${file} already exists, and was left as it is`, {
    hint: 'add --force to replace it, or write another path',
  });
}
