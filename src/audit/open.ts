/**
 * Opens the audit and keeps it up while the daemon runs: the file is checked every second, and
 * pruned after the start and every hour. A file that takes no entries is logged when that begins,
 * and when it ends.
 */

import { defer } from '../base/dispose.ts';
import type { Runtime } from '../base/runtime.ts';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import { DAY_MS } from '../base/time-window.ts';
import { repeat } from '../base/timers.ts';
import { openAuditLog, type AuditLog } from './audit-log.ts';

/** Opens the audit; it is closed, with everything on the disk, when the stack is. */
export function openAudit({ config, paths, clock, logger, warnings }: Runtime, stack: AsyncDisposableStack): AuditLog {
  const auditLog = openAuditLog(paths.audit, clock);
  defer(stack, 'the audit', () => auditLog.close());
  warnings.register(() => [auditLog.warning()].filter((warning) => warning !== null));
  defer(
    stack,
    'pruning of the audit',
    startAuditUpkeep(auditLog, () => config.current.audit, clock, logger.component('audit')),
  );
  return auditLog;
}

/** Interval between two checks of the file, in milliseconds. */
const CHECK_MS = 1000;

/** Number of checks between two prunes: an hour's. */
const CHECKS_PER_PRUNE = 3600;

/** Limits of the entries that are kept, from the configuration. */
export interface AuditRetention {
  readonly retentionDays: number;
  readonly maxBytes: number;
}

/** Starts the upkeep; the returned function ends it and waits for a prune that is under way. */
export function startAuditUpkeep(
  auditLog: AuditLog,
  retention: () => AuditRetention,
  clock: Clock,
  logger: Logger,
): () => Promise<void> {
  let rounds = 0;
  let failing = false;
  const check = (): void => {
    auditLog.check();
    auditLog.flush();
    const warning = auditLog.warning();
    if (warning !== null && !failing) logger.error(warning.problem, { path: warning.subject, hint: warning.hint });
    if (warning === null && failing) logger.info('the audit can be written again');
    failing = warning !== null;
  };
  const prune = async (): Promise<void> => {
    const { retentionDays, maxBytes } = retention();
    try {
      const gone = await auditLog.prune({ before: clock.now() - retentionDays * DAY_MS, maxBytes });
      if (gone > 0) logger.info('pruned the audit', { entries: gone });
    } catch (error) {
      logger.error('pruning the audit failed', { error });
    }
  };
  return repeat(clock, CHECK_MS, () => {
    check();
    const isDue = rounds % CHECKS_PER_PRUNE === 0;
    rounds += 1;
    return isDue ? prune() : undefined;
  });
}
