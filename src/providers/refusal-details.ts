/**
 * Reads what an error document holds besides its message: waits, windows, how far a limit reaches.
 * Pure.
 *
 * The document can be anything, of any depth, and can echo a key. Only known fields are read, each
 * checked, and nothing of the text is passed on.
 */

import { isRecord, toRecord } from '../base/json.ts';
import { parseGoDuration, parseProtobufDuration, parseReset, readAskedWait } from './reset-formats.ts';

/** Structured part of an error document. */
export interface RefusalDetails {
  /** Wait that the body names, in milliseconds. */
  readonly waitMs: number | undefined;
  /** Rate-limit headers inside the body (OpenRouter and other gateways), names lower-case. */
  readonly headers: Readonly<Record<string, string>> | undefined;
  /** True where a day's allowance is used up. */
  readonly daily: boolean;
  /** True where the limit counts one model alone. */
  readonly perModel: boolean;
  /** True where the content of the request was refused (moderation). */
  readonly moderated: boolean;
  /** True where the status is that of a provider behind this one. */
  readonly upstream: boolean;
  /** OpenRouter's kind of a 402. */
  readonly creditLimit: 'in-flight' | 'key' | 'billing-account' | undefined;
  /** Further codes: a number as `code`, the reasons in the details of a Google error. */
  readonly reasons: readonly string[];
}

type Fields = Readonly<Record<string, unknown>>;

/** Number of entries of a list in a body that are read. */
const MAX_ENTRIES = 16;

/** Length of a text that is searched, in characters. */
const MAX_TEXT = 1000;

/**
 * Reads an error document; anything that is not an object has no details.
 *
 * @param message the message of the document, as readError reads it.
 * @param now wall time in epoch milliseconds.
 */
export function readRefusalDetails(
  provider: string,
  body: unknown,
  message: string | undefined,
  now: number,
): RefusalDetails {
  // Gemini's streaming endpoint wraps its error in a list.
  const document = toRecord(Array.isArray(body) ? body[0] : body);
  const inner = document['error'];
  const error = typeof inner === 'object' && inner !== null ? toRecord(inner) : document;
  const metadata = toRecord(error['metadata']);
  const headers = readHeaders(metadata['headers']);
  const holders = [error, document, metadata, toRecord(error['details']), toRecord(document['detail'])];
  const text = (message ?? '').slice(0, MAX_TEXT);
  const google = readGoogle(error);
  const waitMs =
    holders.map((holder) => readWaitField(holder, now)).find((wait) => wait !== null) ??
    (headers && readAskedWait(headers, now)) ??
    google.waitMs ??
    readWaitInWords(text) ??
    readResetInWords(text, provider, now) ??
    undefined;
  const own = provider === 'openrouter' ? metadata : {};
  // The limit is the upstream provider's, whose models are others than this key's.
  const upstream = own['provider_code'] !== undefined || own['provider_name'] !== undefined;
  return {
    waitMs,
    headers,
    daily: google.daily || isDailyLimit(text),
    perModel: google.perModel || upstream,
    moderated: Array.isArray(own['reasons']) || own['flagged_input'] !== undefined,
    upstream,
    creditLimit: CREDIT_LIMITS.get(own['limit_source']),
    reasons: [...(typeof error['code'] === 'number' ? [String(error['code'])] : []), ...google.reasons],
  };
}

/** Kinds of OpenRouter's 402 (openrouter.ai/docs, errors and limits). */
const CREDIT_LIMITS = new Map<unknown, 'in-flight' | 'key' | 'billing-account'>([
  ['openrouter_in_flight_budget', 'in-flight'],
  ['openrouter_key_limit', 'key'],
  ['openrouter_credits', 'billing-account'],
]);

const DAILY_LIMIT =
  /\b(?:per[- _]day|requests?\/day|(?:per|every|in) 24 ?h(?:ours?)?|\d{1,9} per 86400s|daily(?: \w+){0,2} (?:limit|quota|allocation|allowance)|RPD|TPD|today(?:'s)?)\b/i;

/**
 * Shorter windows that a text may list beside the day's; then it does not identify the one that is
 * used up.
 */
const SHORTER_LIMIT = /\b(?:per|a|\d{1,9}) ?(?:second|minute|hour)\b|\/(?:s|sec|second|min|minute|h|hour)\b/i;

/** Returns true where a text is about a used-up day and names no shorter limit beside it. */
function isDailyLimit(text: string): boolean {
  // The wait is not a limit: "try again in 5 minutes".
  return DAILY_LIMIT.test(text) && !SHORTER_LIMIT.test(text.replace(WAIT_IN_WORDS, ''));
}

/** Fields of a wait in seconds, in milliseconds, and of the time of a reset. */
const SECONDS_FIELDS = ['retry_after', 'retry_after_seconds', 'retryAfter', 'resets_in_seconds', 'reset_in_seconds'];
const MILLISECONDS_FIELDS = ['retry_after_ms', 'retryAfterMs'];
const RESET_FIELDS = ['resets_at', 'reset_at', 'resetAt', 'resetsAt', 'reset_time', 'resetTime'];

/** Reads the wait that a field of an object names, in milliseconds. */
function readWaitField(holder: Fields, now: number): number | null {
  const numbers = (names: readonly string[]): number | undefined =>
    names.map((name) => readSeconds(holder[name])).find(isWait);
  const seconds = numbers(SECONDS_FIELDS);
  if (seconds !== undefined) return Math.ceil(seconds * 1000);
  const milliseconds = numbers(MILLISECONDS_FIELDS);
  if (milliseconds !== undefined) return Math.ceil(milliseconds);
  return (
    RESET_FIELDS.map((name) => parseReset(resetText(holder[name]), 'any', now)).find((wait) => wait !== null) ?? null
  );
}

/** Returns a time of a reset as the text of a header, for the parser of those. */
function resetText(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}

/** Returns seconds that are a number, or digits in a text. */
function readSeconds(value: unknown): unknown {
  return typeof value === 'string' && /^\d{1,9}(?:\.\d{1,9})?$/.test(value) ? Number(value) : value;
}

/** Units of waits in words by their first letters, in milliseconds. */
const WORD_UNITS: readonly (readonly [RegExp, number])[] = [
  [/^s/, 1000],
  [/^m/, 60_000],
  [/^h/, 3_600_000],
  [/^d/, 86_400_000],
];

const UNIT = '(?:s|sec|second|m|min|minute|h|hr|hour|d|day)s?';
const LEAD = '(?:try again|retry(?: again)?|wait|available(?: again)?|resets?|refresh(?:es|ed)?)(?: in| after| for)?';
const WAIT_IN_WORDS = new RegExp(
  `\\b${LEAD} (?:about |approximately )?((?:,? ?(?:and )?(?:\\d{1,6}(?:\\.\\d{1,9})?|an?|one) ?${UNIT}\\b)+|\\d[\\d.hms]{0,20}\\b)`,
  'i',
);
const AMOUNT = new RegExp(`(\\d+(?:\\.\\d+)?|\\ban?\\b|\\bone\\b) ?(${UNIT})`, 'gi');

/**
 * Reads "try again in 20s", "in 1m30.5s" (OpenAI, Groq), "in 12 seconds" (Azure), "wait 41234
 * seconds" (GitHub), "reset after 3h13m14s" (Gemini). Also "in 2 hours", "in an hour", "in 5 mins",
 * and "in 1 minute and 30 seconds". A bare number is seconds.
 */
function readWaitInWords(text: string): number | null {
  const said = WAIT_IN_WORDS.exec(text)?.[1]?.toLowerCase();
  if (said === undefined) return null;
  const duration = parseGoDuration(said) ?? (/^\d{1,6}(?:\.\d+)?$/.test(said) ? Number(said) * 1000 : null);
  if (duration !== null) return Math.ceil(duration) || null;
  let sum = 0;
  for (const [, amount = '', unit = ''] of said.matchAll(AMOUNT)) {
    const factor = WORD_UNITS.find(([pattern]) => pattern.test(unit))?.[1] ?? 0;
    sum += (/^\d/.test(amount) ? Number(amount) : 1) * factor;
  }
  return Math.ceil(sum) || null;
}

/**
 * Providers whose times without a zone are Beijing's
 * (https://github.com/hugalafutro/model-hotel/pull/955).
 */
const BEIJING = new Set(['zai', 'zhipu', 'bigmodel', 'glm']);

const TIMESTAMP = /\b(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?) ?(Z|UTC|GMT|[+-]\d{2}:\d{2})?/;

/**
 * Reads the point in time at which a limit resets: "Your limit will reset at 2026-09-09 05:38:28".
 */
function readResetInWords(text: string, provider: string, now: number): number | null {
  const [, date, time, zone = BEIJING.has(provider) ? '+08:00' : 'Z'] = TIMESTAMP.exec(text) ?? [];
  return date === undefined ? null : parseReset(`${date}T${time}${zone.replace(/UTC|GMT/, 'Z')}`, 'rfc3339', now);
}

function isWait(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value > 0;
}

/**
 * Reads google.rpc.RetryInfo, QuotaFailure and ErrorInfo in `error.details`, which gateways pass
 * on.
 */
function readGoogle(error: Fields): Pick<RefusalDetails, 'waitMs' | 'daily' | 'perModel' | 'reasons'> {
  const details = listOf(error['details']);
  const violations = details.flatMap((detail) => listOf(detail['violations']));
  return {
    waitMs: details.map((detail) => readDelay(detail['retryDelay'])).find((wait) => wait !== null) ?? undefined,
    daily: violations.some(({ quotaId }) => typeof quotaId === 'string' && /PerDay/.test(quotaId.slice(0, MAX_TEXT))),
    perModel: violations.some(
      ({ quotaDimensions, model }) => toRecord(quotaDimensions)['model'] !== undefined || typeof model === 'string',
    ),
    reasons: details.flatMap(({ reason }) => (typeof reason === 'string' ? [reason] : [])),
  };
}

/** Reads a protobuf duration as JSON has it, as Go prints it, or as an object of seconds. */
function readDelay(delay: unknown): number | null {
  if (typeof delay === 'string') return parseProtobufDuration(delay) ?? parseGoDuration(delay);
  const seconds = readSeconds(toRecord(delay)['seconds']);
  return isWait(seconds) ? seconds * 1000 : null;
}

function listOf(value: unknown): readonly Fields[] {
  return Array.isArray(value) ? value.slice(0, MAX_ENTRIES).map(toRecord) : [];
}

/**
 * Returns header fields with lower-case names and text values; numbers become texts, all else is
 * dropped.
 */
function readHeaders(value: unknown): Readonly<Record<string, string>> | undefined {
  if (!isRecord(value)) return undefined;
  const entries = Object.entries(value).slice(0, MAX_ENTRIES * 2);
  return Object.fromEntries(
    entries.flatMap(([name, text]) =>
      typeof text === 'string' || typeof text === 'number' ? [[name.toLowerCase(), String(text)]] : [],
    ),
  );
}
