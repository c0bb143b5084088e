/**
 * Puts what happens to the daemon without a request into the audit: strangers turned away, reloads, a socket that was lost.
 */

import type { AuditJournal } from '../audit/journal.ts';
import type { AuditEntry } from '../audit/record.ts';
import type { Logger } from '../base/logger.ts';
import { describeProcess } from '../callers/identity.ts';

/** Returns what to do about those who were turned away. */
export function recordRejection(
  journal: AuditJournal,
  logger: Logger,
): (uid: number, pid: number | null, more: number) => void {
  return (uid: number, pid: number | null, more: number): void => {
    const caller = { uid, pid, ...describeProcess(pid), name: null };
    const detail = more === 0 ? 'FORBIDDEN' : `FORBIDDEN, and ${more} times before`;
    logger.warn('turned a stranger away', { uid, pid, more });
    note(journal, logger, { caller, operation: 'connect', credential: null, outcome: 'refused', detail });
  };
}

/** Is how a reload of the configuration ended: what of it was applied, or that the old one was kept. */
type Reload =
  { readonly kind: 'reloaded'; readonly applied: readonly string[] } | { readonly kind: 'kept' | 'unchanged' };

/** Returns what to do when the configuration was read anew. */
export function recordReload(journal: AuditJournal, logger: Logger): (outcome: Reload) => void {
  return (outcome) => {
    const detail = outcome.kind === 'reloaded' ? `applied ${outcome.applied.join(', ')}` : outcome.kind;
    const result = outcome.kind === 'kept' ? 'failed' : 'changed';
    note(journal, logger, { caller: null, operation: 'config.reload', credential: null, outcome: result, detail });
  };
}

/** Returns what to do when the socket's path no longer led to us. */
export function recordLostSocket(journal: AuditJournal, logger: Logger): (detail: string) => void {
  return (detail) =>
    note(journal, logger, { caller: null, operation: 'socket.restart', credential: null, outcome: 'changed', detail });
}

/** Records what happened already: where the audit takes no more lines, the log has it, and the daemon goes on. */
function note(journal: AuditJournal, logger: Logger, entry: AuditEntry): void {
  try {
    journal.record(entry);
  } catch (error) {
    logger.error('this is missing in the audit', { ...entry, error });
  }
}
