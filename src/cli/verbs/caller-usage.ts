/**
 * `aipassd caller-usage <caller>`: what one caller used.
 */

import { UsageError } from '../usage-error.ts';
import { printFigures, printGroups } from '../usage-text.ts';
import { JSON_OPTION, type Verb } from '../verb.ts';

/** Shows the sums of one caller. */
export const callerUsage: Verb = {
  name: 'caller-usage',
  usage: '<caller> [--json]',
  summary: 'show what one caller used, and with which models',
  details: ['--json  print the answer as a document'],
  options: JSON_OPTION,
  maxPositionals: 1,
  async run(args, { out, connect, signal }) {
    const [caller] = args.positionals;
    if (caller === undefined) {
      throw new UsageError(
        'Caller name required',
        'usage: aipassd caller-usage <caller>; see: aipassd stats --by caller',
      );
    }
    const aipass = await connect();
    const answer = await aipass.stats({ by: 'model', caller }, { signal });
    if (args.flag('json')) {
      out.json(answer);
      return 0;
    }
    if (answer.total.requests + answer.total.releases === 0) {
      out.warn(`No usage data found for caller: ${caller}`, 'see: aipassd stats --by caller');
      return 0;
    }
    printFigures(answer.total, { prefix: 'Total' }, out);
    out.line('');
    printGroups(answer, 'model', out);
    return 0;
  },
};
