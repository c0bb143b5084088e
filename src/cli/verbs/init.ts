/**
 * `aipassd init`: makes the file for the keys. Works without a daemon.
 */

import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import { AipassError } from '../../base/errors.ts';
import { defineVerb } from '../verb.ts';

/** Makes `.env` from the template where there is none. */
export const init = defineVerb({
  name: 'init',
  summary: 'make the file that holds the API keys, where there is none',
  parameters: {},
  async run(_values, { out, paths }) {
    refuseForeignHome(paths.secretsRoot);
    const { initEnvFile } = await import('../../credentials/template.ts');
    const isNew = (await initEnvFile(paths.envFile)) === 'created';
    out.line(isNew ? `Created ${paths.envFile}` : `${paths.envFile} already exists, and was left as it is`);
    out.line('Put your keys into it; a running daemon picks them up at once.');
    return 0;
  },
});

/** Refuses to make root's files in the home of somebody else, who could not use them (`sudo -E` keeps HOME). */
function refuseForeignHome(secretsRoot: string): void {
  if (process.geteuid?.() !== 0) return;
  const home = dirname(secretsRoot);
  const owner = statSync(home, { throwIfNoEntry: false })?.uid ?? 0;
  if (owner === 0) return;
  throw new AipassError('FORBIDDEN', `this is root, and ${home} belongs to another user (uid ${owner})`, {
    hint: `run it as that user, without sudo; or: sudo -u '#${owner}' aipassd init`,
  });
}
