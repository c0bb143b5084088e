/**
 * `aipassd cleanup`: deletes old usage events by hand.
 */

import { AipassError } from '../../base/errors.ts';
import { formatBytes, formatCount } from '../format.ts';
import { flag, integerWord, JSON_FLAG } from '../options.ts';
import { confirm } from '../prompt.ts';
import { defineVerb } from '../verb.ts';

/** Prunes usage. */
export const cleanup = defineVerb({
  name: 'cleanup',
  summary: 'delete usage events older than a number of days; their daily totals stay',
  parameters: {
    days: integerWord('maximum age of an event; without it usage.retentionDays of the configuration (30)', [0, 36_500]),
    'dry-run': flag('only count what would be deleted'),
    yes: flag('do not ask before 0, which deletes every event'),
    json: JSON_FLAG,
  },
  async run({ days, 'dry-run': dryRun, yes, json }, { out, connect, signal }) {
    if (days === 0 && !dryRun && !yes) {
      const refusal = new AipassError('BAD_REQUEST', 'this would delete every usage event', {
        hint: 'add --yes if that is meant, or --dry-run to count them',
      });
      await confirm('Delete every usage event?', refusal, signal);
    }
    const aipass = await connect();
    const report = await aipass.usage.prune({ days, dryRun }, { signal });
    if (json) {
      out.json(report);
      return 0;
    }
    const age = days === undefined ? 'older than the retention' : `older than ${formatCount(days, 'day')}`;
    const entries = formatCount(report.events, 'entry', 'entries');
    if (report.events === 0) out.line(`Nothing to clean: no entries ${age}`);
    else if (dryRun) out.line(`Would clean up ${entries} ${age}`);
    else {
      // SQLite gives pages back when it compacts; until then the file can even have grown.
      const freed = report.bytesBefore - report.bytesAfter;
      out.line(`Cleaned up ${entries} ${age}${freed > 0 ? `; the database is ${formatBytes(freed)} smaller` : ''}`);
    }
    return 0;
  },
});
