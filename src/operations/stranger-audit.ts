/**
 * Puts those who were turned away at the door into the log and the audit.
 */

import type { AuditJournal } from '../audit/journal.ts';
import type { Logger } from '../base/logger.ts';
import { describeProcess } from '../callers/identity.ts';

/** Returns what to do about those who were turned away. */
export function tellStranger(
  journal: AuditJournal,
  logger: Logger,
): (uid: number, pid: number | null, more: number) => void {
  return (uid: number, pid: number | null, more: number): void => {
    const caller = { uid, pid, ...describeProcess(pid), name: null };
    const detail = more === 0 ? 'FORBIDDEN' : `FORBIDDEN, and ${more} times before`;
    logger.warn('turned a stranger away', { uid, pid, more });
    journal.record({ caller, operation: 'connect', credential: null, outcome: 'refused', detail });
  };
}
