/**
 * `aipassd init`: makes the file for the keys. Works without a daemon.
 */

import type { Verb } from '../verb.ts';

/** Makes `.env` from the template where there is none. */
export const init: Verb = {
  name: 'init',
  usage: '',
  summary: 'make the file that holds the API keys, where there is none',
  options: {},
  maxPositionals: 0,
  async run(_args, { out, paths }) {
    const { initEnvFile } = await import('../../credentials/template.ts');
    const made = (await initEnvFile(paths.envFile)) === 'created';
    out.line(
      made ? `Environment template created at ${paths.envFile}` : `Environment file already exists at ${paths.envFile}`,
    );
    out.line('Put your keys into it; a running daemon picks them up at once.');
    return 0;
  },
};
