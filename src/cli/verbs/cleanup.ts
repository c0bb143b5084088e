/**
 * `aipassd cleanup [days]`: deletes old usage events by hand.
 */

import { createInterface } from 'node:readline/promises';
import { AipassError } from '../../base/errors.ts';
import { counted } from '../counted.ts';
import { UsageError } from '../usage-error.ts';
import { JSON_OPTION, type Verb } from '../verb.ts';

const USAGE = '[days] [--dry-run] [--yes] [--json]';

/** Prunes usage. */
export const cleanup: Verb = {
  name: 'cleanup',
  usage: USAGE,
  summary: 'delete usage events older than so many days; their daily totals stay',
  details: [
    'days       how old an event may get; usage.retentionDays of the configuration (30) without it',
    '--dry-run  only count what would go',
    '--yes      do not ask before 0, which deletes every event',
    '--json     print the report as a document',
  ],
  options: { ...JSON_OPTION, 'dry-run': { type: 'boolean' }, yes: { type: 'boolean' } },
  maxPositionals: 1,
  async run(args, { out, connect, signal }) {
    const days = readDays(args.positionals[0]);
    const dryRun = args.flag('dry-run');
    if (days === 0 && !dryRun && !args.flag('yes')) await confirm(signal);
    const aipass = await connect();
    const report = await aipass.usage.prune({ days, dryRun }, { signal });
    if (args.flag('json')) {
      out.json(report);
      return 0;
    }
    const age = days === undefined ? 'older than the retention' : `older than ${counted(days, 'day')}`;
    const entries = counted(report.events, 'entry', 'entries');
    if (report.events === 0) out.line(`Nothing to clean: no entries ${age}`);
    else if (dryRun) out.line(`Would clean up ${entries} ${age}`);
    else {
      const bytes = `the database went from ${report.bytesBefore} to ${report.bytesAfter} bytes`;
      out.line(`Cleaned up ${entries} ${age}; ${bytes}`);
    }
    return 0;
  },
};

function readDays(word: string | undefined): number | undefined {
  if (word === undefined) return undefined;
  const days = Number(word);
  if (!/^\d{1,5}$/.test(word) || days > 36_500) {
    throw new UsageError('days is no whole number from 0 to 36500', `usage: aipassd cleanup ${USAGE}`);
  }
  return days;
}

async function confirm(signal: AbortSignal): Promise<void> {
  const refusal = new AipassError('BAD_REQUEST', 'this would delete every usage event', {
    hint: 'add --yes if that is meant, or --dry-run to count them',
  });
  if (!process.stdin.isTTY) throw refusal;
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question('Delete every usage event? Type yes: ', { signal });
    if (answer.trim().toLowerCase() !== 'yes') throw refusal;
  } finally {
    terminal.close();
  }
}
