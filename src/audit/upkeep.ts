/**
 * Keeps the audit in order while the daemon runs: the file is looked at every minute, and pruned at the start and every hour.
 */

import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import type { AuditJournal } from './journal.ts';

const CHECK_MS = 60_000;
const CHECKS_PER_PRUNE = 60;
const DAY_MS = 86_400_000;

/** Is what is kept, as the configuration says. */
export interface AuditRetention {
  readonly retentionDays: number;
  readonly maxBytes: number;
}

/** Starts the upkeep; the returned function ends it. */
export function startAuditUpkeep(
  journal: AuditJournal,
  retention: () => AuditRetention,
  clock: Clock,
  logger: Logger,
): () => void {
  let rounds = 0;
  let cancel: (() => void) | undefined;
  const round = (): void => {
    cancel = clock.after(CHECK_MS, round);
    journal.check();
    if (rounds % CHECKS_PER_PRUNE === 0) void prune();
    rounds += 1;
  };
  const prune = async (): Promise<void> => {
    const { retentionDays, maxBytes } = retention();
    try {
      const gone = await journal.prune({ before: clock.now() - retentionDays * DAY_MS, maxBytes });
      if (gone > 0) logger.info('pruned the audit', { lines: gone });
    } catch (error) {
      logger.error('pruning the audit failed', { error });
    }
  };
  cancel = clock.after(CHECK_MS, round);
  return () => cancel?.();
}
