/**
 * The record of one call (who asked, whom, and what it took) and its export. Pure: untrusted values
 * come in, bounded ones go out.
 *
 * Caller names, models and numbers come from programs and providers beyond our control. Texts are
 * made plain and short; a number that cannot be true becomes unknown (null), which is not zero. A
 * key is named by its id, never shown. The columns stand in protocol/usage.ts.
 */

import { parseJsonObject } from '../base/json.ts';
import { plainText } from '../base/plain-text.ts';
import { csvLine } from '../protocol/csv.ts';
import {
  EVENT_COLUMNS,
  USAGE_STATUSES,
  type EventColumn,
  type EventField,
  type EventValue,
  type RecordedEvent,
  type UsageStatus,
} from '../protocol/usage.ts';

/**
 * One recorded call. Times are epoch milliseconds, durations milliseconds, money micro-dollars;
 * null is unknown.
 */
export type UsageEvent = { readonly [Field in EventField]: EventValue<(typeof EVENT_COLUMNS)[Field]> };

/** An event as reported by whoever saw the call; anything may be missing or absurd. */
export type RawEvent = Pick<UsageEvent, 'operation' | 'status'> & {
  readonly [Field in Exclude<EventField, 'operation' | 'status' | 'run' | 'id'>]?: UsageEvent[Field] | null | undefined;
};

/** The fields of an event that describe its caller. */
export type EventCaller = Pick<RawEvent, 'caller' | 'uid' | 'pid' | 'executable' | 'session' | 'organization'>;

/**
 * Masks key-shaped text: a program may name itself, or a model, by a secret. Must not depend on
 * held values, because callers read their own words in answers about usage.
 */
export type Redact = (text: string) => string;

/** A report that is being written. */
export type EventDraft = { -readonly [Field in keyof RawEvent]: RawEvent[Field] };

/** The columns with their fields, in the order of the table. */
export const COLUMNS: readonly (EventColumn & { readonly field: EventField })[] = Object.entries(EVENT_COLUMNS).map(
  ([field, column]) => ({ ...column, field: field as EventField }),
);

/**
 * An event of which nothing is known. Events are copies of it: V8 keeps objects fast whose fields
 * were all there from the start; an object that JSON.parse made is such a one.
 */
const UNKNOWN = objectOfFields(({ kind, missing }) => missing ?? (kind === 'flag' ? false : null));

/** A report that states nothing: every field is null. */
const BLANK = objectOfFields(() => null);

function objectOfFields(valueOf: (column: EventColumn) => unknown): Readonly<Partial<Record<EventField, unknown>>> {
  return parseJsonObject(JSON.stringify(Object.fromEntries(COLUMNS.map((one) => [one.field, valueOf(one)])))) ?? {};
}

/** Returns the report of a call, of which nothing else is known yet. */
export function draftEvent(operation: string, status: UsageStatus): EventDraft {
  const draft = { ...BLANK } as EventDraft;
  draft.operation = operation;
  draft.status = status;
  return draft;
}

/**
 * Returns an event from an object of the journal, which an older version may have written; null for
 * anything else.
 */
export function readEvent(given: Partial<Record<EventField, unknown>>): UsageEvent | null {
  const isEvent =
    Number.isSafeInteger(given.at) &&
    Number.isSafeInteger(given.id) &&
    typeof given.caller === 'string' &&
    typeof given.run === 'string' &&
    typeof given.operation === 'string' &&
    isStatus(given.status);
  if (!isEvent) return null;
  return { ...UNKNOWN, ...given } as UsageEvent;
}

/**
 * Returns whether an event is a call to a provider. The release of a credential is recorded too,
 * but is not a call.
 */
export function isCall(event: Pick<UsageEvent, 'operation'>): boolean {
  return !RELEASES.has(event.operation);
}

const RELEASES: ReadonlySet<string> = new Set(['key.get', 'token.get', 'secret.get']);

/** Operation under which a provider's later report on a generation is recorded. */
export const TRACK_OPERATION = 'usage.track';

/** Operation of imported AIPass usage. */
export const IMPORT_OPERATION = 'usage.import';

/**
 * Returns whether an event only reports on a generation of some other call, and is not a call
 * itself.
 */
export function isReport(operation: string): boolean {
  return operation === TRACK_OPERATION || operation === IMPORT_OPERATION;
}

/** Returns a text that all events of one generation share, and no others. */
export function generationKey({ provider, generationId }: Pick<UsageEvent, 'provider' | 'generationId'>): string {
  return `${provider} ${generationId}`;
}

const STATUSES: ReadonlySet<unknown> = new Set(USAGE_STATUSES);

function isStatus(value: unknown): value is UsageStatus {
  return STATUSES.has(value);
}

/** Returns a value as its column takes it, or null where it is not known. */
export function boundValue(column: EventColumn, value: unknown, redact?: Redact): unknown {
  switch (column.kind) {
    case 'name':
    case 'text':
      return boundText(value, column.max, redact) ?? column.missing ?? null;
    case 'flag':
      return value === true;
    case 'duration':
      return typeof value === 'number' && Number.isFinite(value) ? boundCount(Math.round(value), column.max) : null;
    case 'id':
    case 'time':
    case 'count':
    case 'tokens':
    case 'money':
      return boundCount(value, column.max);
    case 'status':
    case 'cost-source':
      return value;
  }
}

/**
 * Returns plain text of bounded length with whole characters only (a database refuses half a
 * surrogate pair), or null.
 */
function boundText(value: unknown, maxLength: number, redact?: Redact): string | null {
  if (typeof value !== 'string') return null;
  // Redacted before it is cut: a part of a secret is harder to recognise than the whole.
  const bounded = value.slice(0, maxLength * 4).toWellFormed();
  return plainText(redact ? redact(bounded) : bounded, maxLength).toWellFormed() || null;
}

/** Returns a whole number from 0 to a bound, or null: a negative or absurd count is unknown. */
export function boundCount(value: unknown, max: number): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= max ? value : null;
}

type ExportFormat = 'csv' | 'jsonl';

/** Returns what stands before the first event. */
export function exportHead(format: ExportFormat): string {
  return format === 'csv' ? csvLine(COLUMNS.map(({ field }) => field)) : '';
}

/** Prints one event as one line; times are ISO 8601. */
export function exportLine(event: RecordedEvent, format: ExportFormat): string {
  const at = new Date(event.at).toISOString();
  if (format === 'jsonl') return `${JSON.stringify({ ...event, at })}\n`;
  return csvLine(
    COLUMNS.map(({ field }) => {
      const value = field === 'at' ? at : event[field];
      return typeof value === 'boolean' ? String(value) : value;
    }),
  );
}
