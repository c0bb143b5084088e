/**
 * `aipassd set-secret` and `aipassd remove-secret`: opaque secrets, byte for byte. A value is read
 * from a file, from standard input or from a hidden prompt, never from the command line.
 */

import { readFile } from 'node:fs/promises';
import { AipassError, systemErrorCode } from '../../base/errors.ts';
import { formatCount } from '../format.ts';
import { flag, JSON_FLAG, requiredWord, textOption } from '../options.ts';
import { canAsk, confirm, readHidden } from '../prompt.ts';
import { defineVerb, type VerbContext } from '../verb.ts';

/** Stores a secret. */
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
    return 0;
  },
});

/** Removes a secret. */
export const removeSecret = defineVerb({
  name: 'remove-secret',
  summary: 'remove an opaque secret for good',
  parameters: { name: requiredWord('<provider>/<slug>', 'secrets'), yes: flag('do not ask'), json: JSON_FLAG },
  async run({ name, yes, json }, { out, connect, signal }) {
    const aipass = await connect();
    if (!yes) {
      const refusal = new AipassError('BAD_REQUEST', `this would remove ${name} for good`, {
        hint: `add --yes if that is meant; to keep a copy: aipassd get-secret ${name} --out FILE`,
      });
      await confirm(`Remove the secret ${name} for good?`, refusal, signal);
    }
    await aipass.request('secret.remove', { name }, { signal });
    if (json) out.json({ name });
    else out.line(`Removed ${name}`);
    return 0;
  },
});

async function readValue(
  name: string,
  from: string | undefined,
  { readStdinBytes, signal }: VerbContext,
): Promise<Buffer> {
  if (from === undefined) return canAsk() ? Buffer.from(await readHidden(`${name}: `, signal)) : readStdinBytes();
  try {
    return await readFile(from);
  } catch (error) {
    throw new AipassError('NOT_FOUND', `cannot read ${from} (${systemErrorCode(error) ?? 'unknown reason'})`, {
      hint: 'write the path of the file that holds the secret',
    });
  }
}
