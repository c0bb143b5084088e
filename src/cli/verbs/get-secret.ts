/**
 * `aipassd get-secret`: says whether an opaque secret is there, or writes it into a file. Never prints a value.
 */

import { resolve } from 'node:path';
import { AipassError } from '../../base/errors.ts';
import { UsageError } from '../usage-error.ts';
import { JSON_OPTION, type Verb } from '../verb.ts';

const USAGE = '<provider/slug> [--out FILE] [--json] | [provider] --list [--json]';

/** Looks an opaque secret up. */
export const getSecret: Verb = {
  name: 'get-secret',
  usage: USAGE,
  summary: 'say whether an opaque secret is there, or write it into a file; never prints a value',
  details: [
    '--out FILE  write the value into FILE (mode 0600)',
    '--json      with --out: write the whole document; without: print what is known of it as JSON',
    '--list      list the secrets, of one provider or of all',
  ],
  options: { ...JSON_OPTION, out: { type: 'string' }, list: { type: 'boolean' } },
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
    if (file !== undefined) await assertOrdinary(file);
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
    const { writeSecretFile } = await import('../../credentials/atomic-write.ts');
    await writeSecretFile(resolve(file), text);
    out.line(`Wrote ${name} to ${file}`);
    return 0;
  },
};

/** Refuses a target that is no ordinary file: a device or a pipe would be replaced by one. */
async function assertOrdinary(file: string): Promise<void> {
  const path = resolve(file);
  const { stat } = await import('node:fs/promises');
  const found = await stat(path).catch(() => null);
  if (file !== '' && !/^\/(dev|proc)\//.test(path) && (found === null || found.isFile())) return;
  throw new UsageError(
    `--out needs the path of a file, and "${file}" is none`,
    'give the path of a new or an ordinary file',
  );
}
