/**
 * `aipassd session`: what this run of the daemon was used for, or one session of a client.
 */

import { ORGANIZATION_OPTION } from '../credential-text.ts';
import { formatLocalTime } from '../format.ts';
import { JSON_FLAG, textOption } from '../options.ts';
import { printFigures } from '../usage-text.ts';
import { defineVerb } from '../verb.ts';

/** Shows the sums of a session. */
export const session = defineVerb({
  name: 'session',
  summary: "show what was used since the daemon started, or in a client's session",
  parameters: {
    id: textOption('ID', 'the session of a client, as stats --by session lists them'),
    organization: ORGANIZATION_OPTION,
    json: JSON_FLAG,
  },
  async run({ id, organization, json }, { out, connect, signal }) {
    const aipass = await connect();
    const answer = await aipass.usage.session(id, { organization, signal });
    if (json) {
      out.json(answer);
      return 0;
    }
    if (!answer.session || answer.session.figures.requests + answer.session.figures.releases === 0) {
      out.warn('No session data available', 'see: aipassd stats --by session');
      return 0;
    }
    const { figures, firstAt, lastAt } = answer.session;
    printFigures(figures, 'Session', out);
    out.line(`From ${formatLocalTime(firstAt)} to ${formatLocalTime(lastAt)} (${answer.id})`);
    return 0;
  },
});
