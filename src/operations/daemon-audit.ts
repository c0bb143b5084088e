/**
 * Audits events that no request causes: rejected peers, reloads, a lost socket.
 */

import type { AuditJournal } from '../audit/journal.ts';
import type { AuditEntry } from '../audit/record.ts';
import type { Logger } from '../base/logger.ts';
import { describeProcess } from '../callers/identity.ts';

/** Returns the recorder of rejected peers. */
export function recordRejection(
  journal: AuditJournal,
  logger: Logger,
): (uid: number, pid: number | null, more: number) => void {
  return (uid: number, pid: number | null, more: number): void => {
    const caller = { uid, pid, ...describeProcess(pid), name: null };
    const detail = more === 0 ? 'FORBIDDEN' : `FORBIDDEN, and ${more} times before`;
    logger.warn('rejected a connection from an unauthorized user', { uid, pid, more });
    note(journal, logger, { caller, operation: 'connect', credential: null, outcome: 'refused', detail });
  };
}

/** Outcome of a reload: the applied settings, or the fact that the old configuration was kept. */
type Reload =
  { readonly kind: 'reloaded'; readonly applied: readonly string[] } | { readonly kind: 'kept' | 'unchanged' };

/** Returns the recorder of reloads. */
export function recordReload(journal: AuditJournal, logger: Logger): (outcome: Reload) => void {
  return (outcome) => {
    const detail = outcome.kind === 'reloaded' ? `applied ${outcome.applied.join(', ')}` : outcome.kind;
    const result = outcome.kind === 'kept' ? 'failed' : 'changed';
    note(journal, logger, { caller: null, operation: 'config.reload', credential: null, outcome: result, detail });
  };
}

/** Returns the recorder of lost sockets. */
export function recordLostSocket(journal: AuditJournal, logger: Logger): (detail: string) => void {
  return (detail) =>
    note(journal, logger, { caller: null, operation: 'socket.restart', credential: null, outcome: 'changed', detail });
}

/** Records an event that happened already: if the audit can't be written, it goes into the log. */
function note(journal: AuditJournal, logger: Logger, entry: AuditEntry): void {
  try {
    journal.record(entry);
  } catch (error) {
    logger.error('an event is missing in the audit', { ...entry, error });
  }
}
