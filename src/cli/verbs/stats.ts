/**
 * `aipassd stats`: who used what.
 */

import { USAGE_GROUPINGS, USAGE_STATUSES, type UsageGrouping, type UsageStatus } from '../../protocol/usage.ts';
import { csvLine } from '../../protocol/csv.ts';
import { parseTime } from '../time-range.ts';
import { UsageError } from '../usage-error.ts';
import { FIGURE_COLUMNS, figureCells, printFigures, printGroups } from '../usage-text.ts';
import { JSON_OPTION, type Verb } from '../verb.ts';

/** Shows sums of usage. */
export const stats: Verb = {
  name: 'stats',
  usage: '[--since T] [--until T] [--by G] [--caller C] [--status S] [--limit N] [--json | --csv]',
  summary: 'show who used what: requests, cost, tokens, errors, latency',
  details: [
    '--since T   from then: 2026-11-21 (UTC), 2026-11-21T10:00Z (local time without Z), or 30m, 12h, 7d, 4w ago; all time without it',
    '--until T   to before then; now without it',
    `--by G      in groups: ${USAGE_GROUPINGS.join(', ')}`,
    '--caller C  only what this caller used',
    `--status S  only calls that ended so: ${USAGE_STATUSES.join(', ')}`,
    '--limit N   at most so many groups (100 without it, 750 at most)',
    '--json      print the answer as a document; --csv prints the groups as CSV',
  ],
  options: {
    ...JSON_OPTION,
    csv: { type: 'boolean' },
    since: { type: 'string' },
    until: { type: 'string' },
    by: { type: 'string' },
    caller: { type: 'string' },
    status: { type: 'string' },
    limit: { type: 'string' },
  },
  maxPositionals: 0,
  async run(args, { out, connect, signal }) {
    const now = Date.now();
    const by = oneOf<UsageGrouping>(args.text('by'), USAGE_GROUPINGS, '--by');
    const query = {
      since: parseTime(args.text('since'), '--since', now),
      until: parseTime(args.text('until'), '--until', now),
      caller: args.text('caller'),
      status: oneOf<UsageStatus>(args.text('status'), USAGE_STATUSES, '--status'),
      limit: readLimit(args.text('limit')),
    };
    const aipass = await connect();
    const answer = await aipass.stats({ ...query, by }, { signal });
    if (args.flag('json')) {
      out.json(answer);
      return 0;
    }
    if (args.flag('csv')) {
      const groups = by === undefined ? [{ name: 'total', figures: answer.total }] : answer.groups;
      out.text(csvLine(FIGURE_COLUMNS));
      for (const { name, figures } of groups) out.text(csvLine(figureCells(name, figures)));
      return 0;
    }
    if (answer.total.requests === 0 && answer.total.releases === 0) {
      out.warn('No usage data available');
      return 0;
    }
    printFigures(answer.total, { prefix: 'Total' }, out);
    if (by === undefined) {
      const callers = await aipass.stats({ ...query, by: 'caller' }, { signal });
      const models = await aipass.stats({ ...query, by: 'model' }, { signal });
      const used = models.groups.flatMap((group) => group.name ?? []);
      out.line(`Callers: ${callers.groups.length}${callers.more ? '+' : ''}`);
      if (used.length > 0) out.line(`Models Used: ${used.join(', ')}${models.more ? ', …' : ''}`);
    } else {
      out.line('');
      printGroups(answer, by, out);
    }
    return 0;
  },
};

/** Reads one of some words. */
function oneOf<Word extends string>(
  text: string | undefined,
  words: readonly Word[],
  option: string,
): Word | undefined {
  if (text === undefined) return undefined;
  const word = words.find((one) => one === text);
  if (word === undefined) throw new UsageError(`${option} is none of these`, `write one of: ${words.join(', ')}`);
  return word;
}

function readLimit(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const limit = Number(text);
  if (!/^\d+$/.test(text) || limit < 1 || limit > 750)
    throw new UsageError('--limit is no number from 1 to 750', 'leave it out for 100');
  return limit;
}
