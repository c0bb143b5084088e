/**
 * `aipassd get-secret`: says whether an opaque secret is there, or writes it into a file. Never prints a value.
 */

import { dirname, resolve } from 'node:path';
import { AipassError, systemErrorCode } from '../../base/errors.ts';
import { UsageError } from '../usage-error.ts';
import { JSON_OPTION, type Verb } from '../verb.ts';

const USAGE = '<provider/slug> [--out FILE [--force]] [--json] | [provider] --list [--json]';

/** Looks an opaque secret up. */
export const getSecret: Verb = {
  name: 'get-secret',
  usage: USAGE,
  summary: 'say whether an opaque secret is there, or write it into a file; never prints a value',
  details: [
    '--out FILE  write the value into FILE (mode 0600), a new file in a folder that is there',
    '--force     with --out: replace FILE where it is there already',
    '--json      with --out: write the whole document; without: print what is known of it as JSON',
    '--list      list the secrets, of one provider or of all',
  ],
  options: { ...JSON_OPTION, out: { type: 'string' }, force: { type: 'boolean' }, list: { type: 'boolean' } },
  maxPositionals: 1,
  async run(args, { out, connect }) {
    const [name] = args.positionals;
    if (args.flag('list')) {
      const { secrets } = await (await connect()).request('secret.list', { provider: name });
      if (args.flag('json')) out.json(secrets);
      else out.line(...secrets.map((one) => (name === undefined ? one.name : one.name.slice(name.length + 1))));
      return 0;
    }
    if (name === undefined || !/^[^/]+\/[^/]+$/.test(name)) {
      throw new UsageError(
        'expected the name of a secret as <provider>/<slug>, for example telegram/bot',
        `usage: aipassd get-secret ${USAGE}`,
      );
    }
    const file = args.text('out');
    const force = args.flag('force');
    if (file !== undefined) await assertWritable(file, force);
    const aipass = await connect();
    if (file === undefined) {
      const { secrets } = await aipass.request('secret.list', { provider: name.slice(0, name.indexOf('/')) });
      const found = secrets.find((one) => one.name === name);
      if (!found) throw new AipassError('NOT_FOUND', `no secret ${name}`, { hint: 'see: aipassd get-secret --list' });
      if (args.flag('json')) out.json({ ...found, set: true });
      else out.line(`${name}: set (${found.chars} chars)`);
      return 0;
    }
    const asDocument = args.flag('json');
    const { value } = await aipass.request('secret.get', { name, json: asDocument });
    const text = asDocument || typeof value !== 'string' ? `${JSON.stringify(value, null, 2)}\n` : value;
    const { createFileAtomic, writeFileAtomic } = await import('../../base/atomic-write.ts');
    if (force) await writeFileAtomic(resolve(file), text);
    else {
      await createFileAtomic(resolve(file), text).catch((error: unknown) => {
        throw systemErrorCode(error) === 'EEXIST' ? isThere(file) : error;
      });
    }
    out.line(`Wrote ${name} to ${file}`);
    return 0;
  },
};

/**
 * Refuses a target that is no ordinary file, because a device or a pipe would be replaced by one; a file that is there,
 * unless it is to be replaced; and one in a folder that is missing, which is more likely misspelt than meant.
 */
async function assertWritable(file: string, force: boolean): Promise<void> {
  const path = resolve(file);
  const { lstat, stat } = await import('node:fs/promises');
  const found = await stat(path).catch(() => null);
  if (file === '' || /^\/(dev|proc)\//.test(path) || (found !== null && !found.isFile())) {
    throw new UsageError(
      `--out needs the path of a file, and "${file}" is none`,
      'give the path of a new or an ordinary file',
    );
  }
  if (!force && (await lstat(path).catch(() => null)) !== null) throw isThere(file);
  const folder = await stat(dirname(path)).catch(() => null);
  if (folder?.isDirectory() === true) return;
  throw new AipassError('NOT_FOUND', `there is no folder ${dirname(path)}`, { hint: 'make it, or give another path' });
}

function isThere(file: string): AipassError {
  return new AipassError('BAD_REQUEST', `${file} is there already, and was left as it is`, {
    hint: 'add --force to replace it, or give another path',
  });
}
