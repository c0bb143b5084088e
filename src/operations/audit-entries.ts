/**
 * Chooses what the audit records. Of requests, these are every release of a value, every change,
 * successful or not, and every refusal for lack of a right. Other reads are not audited. Besides
 * them, events that no request causes: rejected peers, reloads, a lost socket.
 *
 * Names that callers sent are masked by shape only: `status` shows the hash of the last entry, from
 * which a mask by value could be told.
 */

import type { AuditLog } from '../audit/audit-log.ts';
import type { AuditCaller, AuditOutcome, AuditEntry } from '../audit/record.ts';
import { maskKeyShapes } from '../base/redactor.ts';
import type { Caller } from '../callers/caller.ts';
import type { DispatchOutcome, RecordRequest } from './dispatcher.ts';
import type { Logger } from '../base/logger.ts';
import { describeProcess } from '../callers/caller.ts';
import { DEFAULT_ORGANIZATION } from '../protocol/credential.ts';

/**
 * Records that a caller was refused something for want of a right. Throws AipassError INTERNAL
 * where the audit takes no more entries.
 */
export type RecordRefusal = (operation: string, caller: Caller, credential: string | null) => void;

/** Makes the recorder of refusals outside the table of operations. */
export function recordRefusals(auditLog: Pick<AuditLog, 'record'>): RecordRefusal {
  return (operation, caller, credential) => {
    auditLog.record({
      caller: describeCaller(caller),
      operation,
      credential: credential === null ? null : maskKeyShapes(credential),
      outcome: 'refused',
      detail: 'FORBIDDEN',
    });
  };
}

/** The entry of a request, and the name in it before it was masked. */
interface NamedEntry {
  readonly named: string | null;
  readonly entry: AuditEntry;
}

export function recordRequests(auditLog: Pick<AuditLog, 'record'>): RecordRequest {
  /** The last entry of each caller: a program in a hurry has the same one again and again. */
  const lastEntries = new WeakMap<Caller, NamedEntry>();
  return (operation, params, { caller }, outcome, organization) => {
    const refused = outcome.kind === 'failed' && outcome.error.code === 'FORBIDDEN';
    const { audit } = operation;
    if (!audit && !refused) return;
    // Invalid parameters name nothing, and nothing was done.
    if (params === undefined && !refused) return;
    if (outcome.kind === 'done' && audit?.hasChangedNothing?.(params, outcome.result)) return;
    const named =
      params === undefined
        ? null
        : (audit?.credential(params, outcome.kind === 'done' ? outcome.result : undefined) ?? null);
    // The code of a failure, or what a success changed; after a refusal there may be no parameters.
    const detail = outcome.kind === 'failed' ? outcome.error.code : audit?.detail?.(params);
    const effect = auditOutcome(audit?.outcome, refused, outcome);
    const last = lastEntries.get(caller);
    const place = organization === DEFAULT_ORGANIZATION ? {} : { organization };
    if (
      last?.named === named &&
      last.entry.organization === place.organization &&
      isLike(last.entry, operation.name, effect, detail)
    ) {
      auditLog.record(last.entry);
      return;
    }
    const entry: AuditEntry = {
      caller: last?.entry.caller ?? describeCaller(caller),
      operation: operation.name,
      // A caller may have put a key where a name belongs.
      credential: named === null ? null : maskKeyShapes(named),
      ...place,
      outcome: effect,
      ...(detail === undefined ? {} : { detail }),
    };
    lastEntries.set(caller, { named, entry });
    auditLog.record(entry);
  };
}

function isLike(entry: AuditEntry, operation: string, outcome: AuditOutcome, detail: string | undefined): boolean {
  return entry.operation === operation && entry.outcome === outcome && entry.detail === detail;
}

function auditOutcome(
  whenDone: 'released' | 'changed' | undefined,
  refused: boolean,
  outcome: DispatchOutcome,
): AuditOutcome {
  if (refused) return 'refused';
  return outcome.kind === 'done' && whenDone !== undefined ? whenDone : 'failed';
}

function describeCaller({ peer, name }: Caller): AuditCaller {
  return {
    uid: peer?.uid ?? null,
    pid: peer?.pid ?? null,
    startedAt: peer?.startedAt ?? null,
    executable: peer?.executable ?? null,
    name: name === null ? null : maskKeyShapes(name),
  };
}

export function recordRejection(
  auditLog: AuditLog,
  logger: Logger,
): (uid: number, pid: number | null, more: number) => void {
  return (uid: number, pid: number | null, more: number): void => {
    const caller = { uid, pid, ...describeProcess(pid), name: null };
    const detail = more === 0 ? 'FORBIDDEN' : `FORBIDDEN, and ${more} times before`;
    logger.warn('rejected a connection from an unauthorized user', { uid, pid, more });
    note(auditLog, logger, { caller, operation: 'connect', credential: null, outcome: 'refused', detail });
  };
}

/** Outcome of a reload: the applied settings, or the fact that the old configuration was kept. */
type Reload =
  { readonly kind: 'reloaded'; readonly applied: readonly string[] } | { readonly kind: 'kept' | 'unchanged' };

export function recordReload(auditLog: AuditLog, logger: Logger): (outcome: Reload) => void {
  return (outcome) => {
    const detail = outcome.kind === 'reloaded' ? `applied ${outcome.applied.join(', ')}` : outcome.kind;
    const result = outcome.kind === 'kept' ? 'failed' : 'changed';
    note(auditLog, logger, { caller: null, operation: 'config.reload', credential: null, outcome: result, detail });
  };
}

export function recordLostSocket(auditLog: AuditLog, logger: Logger): (detail: string) => void {
  return (detail) =>
    note(auditLog, logger, { caller: null, operation: 'socket.restart', credential: null, outcome: 'changed', detail });
}

/** Records an event that happened already: if the audit can't be written, it goes into the log. */
function note(auditLog: AuditLog, logger: Logger, entry: AuditEntry): void {
  try {
    auditLog.record(entry);
  } catch (error) {
    logger.error('an event is missing in the audit', { ...entry, error });
  }
}
