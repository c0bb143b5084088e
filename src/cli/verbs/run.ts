/**
 * `aipassd run`: the daemon in the foreground.
 */

import { defineVerb } from '../verb.ts';

export const run = defineVerb({
  name: 'run',
  summary: 'run the daemon in the foreground',
  details: [
    'SIGTERM and Ctrl-C stop it; requests in flight get 10 s to finish. A second signal stops it at once.',
    'It needs no configuration. AIPASSD_SECRETS_DIR, AIPASSD_CONFIG, AIPASSD_STATE_DIR and AIPASSD_RUNTIME_DIR change where its files are.',
  ],
  parameters: {},
  run: (_values, { runDaemon }) => runDaemon(),
});
