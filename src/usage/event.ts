/**
 * What is recorded of one call: who asked, whom, and what it took. Pure: strangers' values come in, bounded ones go out.
 *
 * Caller names, models and numbers come from programs and providers that nobody controls. Texts are made plain and
 * short; a number that cannot be true becomes unknown (null), which is not zero. A key is named by its id, never shown.
 */

import { plainText } from '../base/plain-text.ts';
import { MAX_CALLER_LENGTH } from '../protocol/limits.ts';
import { MAX_COST_MICROS } from './micro-dollars.ts';

/** Maps each status to its number, which is apipool's. */
export const EVENT_STATUSES = { success: 1, failed: 5, reach_limit: 9 } as const;

/** Names how a call ended: answered, failed, or refused because the key's limit was reached. */
export type EventStatus = keyof typeof EVENT_STATUSES;

/** Names where a cost comes from: the answer itself, OpenRouter's generation record, the price list, or AIPass's file. */
export const COST_SOURCES = ['response', 'generation', 'prices', 'import'] as const;
export type CostSource = (typeof COST_SOURCES)[number];

/** Is one recorded call. Times are epoch milliseconds, durations milliseconds, money micro-dollars; null is unknown. */
export interface UsageEvent {
  readonly at: number;
  /** Tells events of one millisecond apart: 48 random bits. Together with `at` it is the event's identity. */
  readonly id: number;
  /** Is what the caller calls itself. */
  readonly caller: string;
  /** Is what the kernel says of the caller. */
  readonly uid: number | null;
  readonly pid: number | null;
  readonly executable: string | null;
  /** Is the client's own session. */
  readonly session: string | null;
  /** Is the run of the daemon that recorded it. */
  readonly run: string;
  readonly provider: string | null;
  readonly keyId: string | null;
  readonly account: string | null;
  readonly operation: string;
  /** Is the model that answered, or the one that was asked for. */
  readonly model: string | null;
  readonly status: EventStatus;
  readonly errorCode: string | null;
  readonly httpStatus: number | null;
  readonly promptTokens: number | null;
  readonly completionTokens: number | null;
  readonly cachedTokens: number | null;
  readonly reasoningTokens: number | null;
  readonly costMicros: number | null;
  readonly costSource: CostSource | null;
  readonly latencyMs: number | null;
  readonly firstTokenMs: number | null;
  readonly generationId: string | null;
}

/** Is an event as whoever saw the call tells it; anything may be missing or absurd. */
export type RawEvent = Pick<UsageEvent, 'operation' | 'status'> & {
  readonly [Field in Exclude<keyof UsageEvent, 'operation' | 'status' | 'run' | 'id'>]?: UsageEvent[Field] | undefined;
};

/** Is the most tokens that one call is believed to have used; more is a provider's nonsense. */
export const MAX_TOKENS = 100_000_000;

/** Is the longest call that is believed: a week. */
const MAX_DURATION_MS = 7 * 24 * 3_600_000;

/** Is the longest name that is kept, in characters; the end of a longer one is cut off. */
export const MAX_NAME_LENGTH = 200;

const MAX_PATH_LENGTH = 1024;

/** Is the last moment that JavaScript's Date can tell, in epoch milliseconds. */
const MAX_TIME = 8_640_000_000_000_000;

/** Is the caller of a program that does not say who it is. */
export const UNNAMED_CALLER = 'unknown';

/** Is what the recorder adds to an event, and how it keeps secrets out: a program may name itself, or a model, by one. */
export interface EventRecorder {
  /** Stands in for a time that is none. */
  readonly now: number;
  readonly id: number;
  readonly run: string;
  /** Masks key-shaped text. Must not depend on held values: callers read their own words in answers about usage. */
  readonly redact?: (text: string) => string;
}

/** Bounds a raw event. */
export function normaliseEvent(raw: RawEvent, recorder: EventRecorder): UsageEvent {
  const text = (value: unknown, maxLength: number): string | null => boundText(value, maxLength, recorder.redact);
  const costMicros = count(raw.costMicros, MAX_COST_MICROS);
  return {
    at: count(raw.at, MAX_TIME) ?? recorder.now,
    id: recorder.id,
    caller: text(raw.caller, MAX_CALLER_LENGTH) ?? UNNAMED_CALLER,
    uid: count(raw.uid, 0xffff_ffff),
    pid: count(raw.pid, 0x7fff_ffff),
    executable: text(raw.executable, MAX_PATH_LENGTH),
    session: text(raw.session, MAX_NAME_LENGTH),
    run: recorder.run,
    provider: text(raw.provider, MAX_NAME_LENGTH),
    keyId: text(raw.keyId, MAX_NAME_LENGTH),
    account: text(raw.account, MAX_NAME_LENGTH),
    operation: text(raw.operation, MAX_NAME_LENGTH) ?? 'unknown',
    model: text(raw.model, MAX_NAME_LENGTH),
    status: raw.status,
    errorCode: text(raw.errorCode, MAX_NAME_LENGTH),
    httpStatus: count(raw.httpStatus, 999),
    promptTokens: count(raw.promptTokens, MAX_TOKENS),
    completionTokens: count(raw.completionTokens, MAX_TOKENS),
    cachedTokens: count(raw.cachedTokens, MAX_TOKENS),
    reasoningTokens: count(raw.reasoningTokens, MAX_TOKENS),
    costMicros,
    costSource: costMicros === null ? null : (raw.costSource ?? 'response'),
    latencyMs: duration(raw.latencyMs),
    firstTokenMs: duration(raw.firstTokenMs),
    generationId: text(raw.generationId, MAX_NAME_LENGTH),
  };
}

/** Tells whether an event is a call to a provider; the release of a credential is recorded too, but is none. */
export function isCall(event: Pick<UsageEvent, 'operation'>): boolean {
  return !RELEASES.has(event.operation);
}

const RELEASES: ReadonlySet<string> = new Set(['key.get', 'token.get', 'secret.get']);

/** Is the operation under which what a provider says of a generation is recorded. */
export const TRACK_OPERATION = 'usage.track';

/** Is the operation under which what AIPass had recorded is recorded. */
export const IMPORT_OPERATION = 'usage.import';

/** Tells whether an event only tells of a generation that some call brought about, and is not that call itself. */
export function isTelling(operation: string): boolean {
  return operation === TRACK_OPERATION || operation === IMPORT_OPERATION;
}

/** Is what an event says of its caller. */
export type EventCaller = Pick<RawEvent, 'caller' | 'uid' | 'pid' | 'executable' | 'session'>;

/** Returns plain text of bounded length with whole characters only (a database refuses half a surrogate pair), or null for nothing. */
function boundText(value: unknown, maxLength: number, redact: EventRecorder['redact']): string | null {
  if (typeof value !== 'string') return null;
  // Before it is cut: a piece of a secret is harder to tell than the whole.
  const bounded = value.slice(0, maxLength * 4).toWellFormed();
  return plainText(redact ? redact(bounded) : bounded, maxLength).toWellFormed() || null;
}

/** Returns a whole number from 0 to a bound, or null: a negative or absurd count is not a count. */
function count(value: unknown, max: number): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= max ? value : null;
}

function duration(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? count(Math.round(value), MAX_DURATION_MS) : null;
}
