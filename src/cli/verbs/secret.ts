/**
 * Opaque secrets, byte for byte: `aipassd get-secret`, `set-secret` and `remove-secret`. A value is
 * read from a file, from standard input or from a hidden prompt, never from the command line. It is
 * written into a file, and never printed.
 */

import { lstat, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { AipassError, systemErrorCode } from '../../base/errors.ts';
import type { Aipass } from '../../client/aipass.ts';
import type { SecretInfo } from '../../protocol/operations.ts';
import { formatCount } from '../format.ts';
import { canAsk, confirm, readHidden, readNamedFile } from '../prompt.ts';
import {
  defineVerb,
  flag,
  JSON_FLAG,
  optionalWord,
  requiredWord,
  textOption,
  UsageError,
  type VerbContext,
} from '../verb.ts';

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
      return;
    }
    assertSecretName('get-secret', name);
    if (file !== undefined) await assertWritable(file, force);
    const aipass = await connect();
    if (file === undefined) {
      const found = await findSecret(aipass, name);
      if (json) out.json({ ...found, set: true });
      else out.line(`${name}: set (${found.chars} chars)`);
      return;
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
  },
});

function assertSecretName(verb: string, name: string | undefined): asserts name is string {
  if (name !== undefined && /^[^/]+\/[^/]+$/.test(name)) return;
  throw new UsageError(
    `<name>: not <provider>/<slug> (got ${name === undefined ? 'nothing' : JSON.stringify(name)})`,
    `write for example: aipassd ${verb} telegram/bot; aipassd get-secret --list shows what there is`,
  );
}

/** Returns what is known of a secret. @throws AipassError NOT_FOUND where there is none. */
async function findSecret(aipass: Pick<Aipass, 'request'>, name: string): Promise<SecretInfo> {
  const { secrets } = await aipass.request('secret.list', { provider: name.slice(0, name.indexOf('/')) });
  const found = secrets.find((one) => one.name === name);
  if (found) return found;
  throw new AipassError('NOT_FOUND', `no secret ${name}`, { hint: 'see: aipassd get-secret --list' });
}

/**
 * Rejects a target that is not an ordinary file, because a device or a pipe would be replaced by
 * one. Rejects an existing file, unless it is to be replaced. Rejects one in a missing folder,
 * which is more likely misspelt than meant.
 */
async function assertWritable(file: string, force: boolean): Promise<void> {
  const path = resolve(file);
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

export const setSecret = defineVerb({
  name: 'set-secret',
  summary: 'store an opaque secret: from standard input, a file or a hidden prompt',
  details: ['The bytes are stored as they are, with the line end that a file has. A terminal is asked for one line.'],
  secretFrom: 'send the value on standard input, or name its file with --from',
  parameters: {
    name: requiredWord('<provider>/<slug>', 'secrets'),
    from: textOption('FILE', 'read the value from FILE', { completion: 'files' }),
    force: flag('replace a secret of that name without asking'),
    json: JSON_FLAG,
  },
  async run({ name, from, force, json }, context) {
    const { out, connect, signal } = context;
    const aipass = await connect();
    const bytes = await readValue(name, from, context);
    const store = (replace: boolean): Promise<unknown> =>
      aipass.request('secret.set', { name, value: bytes.toString('base64'), replace }, { signal });
    try {
      await store(force);
    } catch (error) {
      if (!(error instanceof AipassError) || error.code !== 'CONFLICT' || force) throw error;
      const refusal = new AipassError('CONFLICT', error.message, { hint: 'add --force to replace it' });
      await confirm(`Replace the secret ${name}?`, refusal, signal);
      await store(true);
    }
    if (json) out.json({ name, bytes: bytes.length });
    else out.line(`Stored ${name} (${formatCount(bytes.length, 'byte')})`);
  },
});

export const removeSecret = defineVerb({
  name: 'remove-secret',
  summary: 'remove an opaque secret for good',
  parameters: { name: requiredWord('<provider>/<slug>', 'secrets'), yes: flag('do not ask'), json: JSON_FLAG },
  async run({ name, yes, json }, { out, connect, signal }) {
    assertSecretName('remove-secret', name);
    const aipass = await connect();
    if (!yes) {
      await findSecret(aipass, name);
      const refusal = new AipassError('BAD_REQUEST', `this would remove ${name} for good`, {
        hint: `add --yes if that is meant; to keep a copy: aipassd get-secret ${name} --out FILE`,
      });
      await confirm(`Remove the secret ${name} for good?`, refusal, signal);
    }
    await aipass.request('secret.remove', { name }, { signal });
    if (json) out.json({ name });
    else out.line(`Removed ${name}`);
  },
});

async function readValue(
  name: string,
  from: string | undefined,
  { readStdinBytes, signal }: VerbContext,
): Promise<Buffer> {
  if (from !== undefined) return readNamedFile(from, 'write the path of the file that holds the secret');
  return canAsk() ? Buffer.from(await readHidden(`${name}: `, signal)) : readStdinBytes();
}
