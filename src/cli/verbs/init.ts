/**
 * `aipassd init`: makes the file for the keys. Works without a daemon.
 */

import { defineVerb } from '../verb.ts';

/** Makes `.env` from the template where there is none. */
export const init = defineVerb({
  name: 'init',
  summary: 'create the file for the API keys, if it is missing',
  parameters: {},
  async run(_values, { out, paths }) {
    const { initEnvFile } = await import('../../credentials/template.ts');
    const isNew = (await initEnvFile(paths.envFile)) === 'created';
    out.line(isNew ? `Created ${paths.envFile}` : `${paths.envFile} already exists, and was left as it is`);
    out.line('Put your keys into it, or run: aipassd add <provider>. A running daemon picks them up at once.');
    return 0;
  },
});
