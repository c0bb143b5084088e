/**
 * `aipassd session`: what this run of the daemon was used for, or one session of a client.
 */

import { printFigures } from '../usage-text.ts';
import { JSON_OPTION, type Verb } from '../verb.ts';

/** Shows the sums of a session. */
export const session: Verb = {
  name: 'session',
  usage: '[--id ID] [--json]',
  summary: "show what was used since the daemon started, or in a client's session",
  details: [
    '--id ID  the session of a client, as stats --by session lists them',
    '--json   print the answer as a document',
  ],
  options: { ...JSON_OPTION, id: { type: 'string' } },
  maxPositionals: 0,
  async run(args, { out, connect, signal }) {
    const aipass = await connect();
    const answer = await aipass.usage.session(args.text('id'), { signal });
    if (args.flag('json')) {
      out.json(answer);
      return 0;
    }
    if (!answer.session || answer.session.figures.requests + answer.session.figures.releases === 0) {
      out.warn('No session data available');
      return 0;
    }
    const { figures, firstAt, lastAt } = answer.session;
    printFigures(figures, { prefix: 'Session' }, out);
    out.line(`From ${new Date(firstAt).toISOString()} to ${new Date(lastAt).toISOString()} (${answer.id})`);
    return 0;
  },
};
