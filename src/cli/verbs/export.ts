/**
 * `aipassd export`: the recorded events, as CSV or JSON lines, however many there are.
 */

import { USAGE_STATUSES } from '../../protocol/usage.ts';
import { parseTime } from '../time-range.ts';
import { UsageError } from '../usage-error.ts';
import { JSON_OPTION, type Verb } from '../verb.ts';

/** Exports usage events. */
export const exportUsage: Verb = {
  name: 'export',
  usage: '[--since T] [--until T] [--key K] [--status S] [--csv | --json]',
  summary: 'print recorded usage events, oldest first, as CSV or as JSON lines',
  details: [
    '--since T   from then (see stats); all that is there without it',
    '--until T   to before then',
    '--key K     only calls with this key, by the name of its variable',
    `--status S  only calls that ended so: ${USAGE_STATUSES.join(', ')}`,
    '--csv       one line of CSV for each event, with a heading (the default)',
    '--json      one JSON document on each line',
  ],
  options: {
    ...JSON_OPTION,
    since: { type: 'string' },
    until: { type: 'string' },
    key: { type: 'string' },
    status: { type: 'string' },
    csv: { type: 'boolean' },
  },
  maxPositionals: 0,
  async run(args, { out, connect, signal }) {
    const now = Date.now();
    if (args.flag('csv') && args.flag('json'))
      throw new UsageError('--csv and --json exclude each other', 'leave one of them out');
    const status = USAGE_STATUSES.find((one) => one === args.text('status'));
    if (status === undefined && args.text('status') !== undefined) {
      throw new UsageError('--status is none of these', `write one of: ${USAGE_STATUSES.join(', ')}`);
    }
    const query = {
      since: parseTime(args.text('since'), '--since', now),
      until: parseTime(args.text('until'), '--until', now),
      keyId: args.text('key'),
      status,
      format: args.flag('json') ? ('jsonl' as const) : ('csv' as const),
    };
    const aipass = await connect();
    await aipass.usage.export(query, (text) => out.text(text), { signal });
    return 0;
  },
};
