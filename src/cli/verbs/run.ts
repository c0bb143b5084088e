/**
 * `aipassd run`: the daemon in the foreground.
 */

import type { Verb } from '../verb.ts';

/** Runs the daemon until a signal. */
export const run: Verb = {
  name: 'run',
  usage: '',
  summary: 'run the daemon in the foreground',
  details: [
    'Stops on SIGTERM or Ctrl-C, after letting requests in flight finish (10 s); a second signal stops at once.',
    'Needs no configuration. Variables that move its folders: AIPASSD_SECRETS_DIR, AIPASSD_CONFIG, AIPASSD_STATE_DIR, AIPASSD_RUNTIME_DIR.',
  ],
  options: {},
  maxPositionals: 0,
  run: (_args, { runDaemon }) => runDaemon(),
};
