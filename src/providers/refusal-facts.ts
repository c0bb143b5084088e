/**
 * Reads what an error document says besides its message: waits, windows, how far a limit reaches. Pure.
 *
 * The document can be anything, of any depth, and can echo a key. Only known fields are read, each checked, and nothing
 * of the text is passed on.
 */

import { toRecord } from '../base/json.ts';
import { parseGoDuration, parseProtobufDuration, parseReset } from './reset-formats.ts';

/** Structured part of an error document; absent fields were not there. */
export interface RefusalFacts {
  /** Wait that the body names, in milliseconds. */
  readonly waitMs?: number;
  /** Rate-limit headers inside the body (OpenRouter), names lower-case. */
  readonly headers?: Readonly<Record<string, string>>;
  /** True where a day's allowance is used up. */
  readonly daily?: true;
  /** True where the limit counts one model alone. */
  readonly perModel?: true;
  /** True where the content of the request was refused (moderation). */
  readonly moderated?: true;
  /** True where the status is that of a provider behind this one. */
  readonly upstream?: true;
  /** OpenRouter's kind of a 402. */
  readonly creditLimit?: 'in-flight' | 'key' | 'account';
  /** Further codes: a number as `code`, the reasons in the details of a Google error. */
  readonly reasons: readonly string[];
}

type Fields = Readonly<Record<string, unknown>>;

/** Number of entries of a list in a body that are read. */
const MAX_ENTRIES = 16;

/** Length of a text that is searched, in characters. */
const MAX_TEXT = 1000;

/** Reads an error document; anything that is not an object has no facts. `now` is wall time in epoch milliseconds. */
export function readRefusalFacts(provider: string, body: unknown, now: number): RefusalFacts {
  // Gemini's streaming endpoint wraps its error in a list.
  const document = toRecord(Array.isArray(body) ? body[0] : body);
  const inner = document['error'];
  const error = typeof inner === 'object' && inner !== null ? toRecord(inner) : document;
  const message = [error['message'], inner, document['message']].find((text) => typeof text === 'string') ?? '';
  const common = readCommon(error, message, now);
  if (provider === 'openrouter') return { ...common, ...readOpenRouter(error) };
  return provider === 'google' ? { ...common, ...readGoogle(error) } : common;
}

const DAILY_LIMIT = /\b(?:per[- ]day|daily (?:rate )?limit|\((?:RPD|TPD)\)|\d{1,9} per 86400s\b)/i;

/** Reads waits that many providers put into the body: a number of seconds, the time of the reset, or words. */
function readCommon(error: Fields, message: string, now: number): RefusalFacts {
  const text = message.slice(0, MAX_TEXT);
  const seconds = [error['retry_after'], error['retry_after_seconds'], error['resets_in_seconds']]
    .map(readSeconds)
    .find(isWait);
  const resetsAt = error['resets_at'] ?? error['reset_at'];
  const waitMs =
    seconds === undefined
      ? (parseReset(resetText(resetsAt), 'any', now) ?? readWaitInWords(text))
      : Math.ceil(seconds * 1000);
  return {
    reasons: typeof error['code'] === 'number' ? [String(error['code'])] : [],
    ...(waitMs === null ? {} : { waitMs }),
    ...(DAILY_LIMIT.test(text) ? { daily: true } : {}),
  };
}

/** Returns a time of a reset as the text of a header, for the parser of those. */
function resetText(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}

/** Returns seconds that are a number, or digits in a text. */
function readSeconds(value: unknown): unknown {
  return typeof value === 'string' && /^\d{1,9}(?:\.\d{1,9})?$/.test(value) ? Number(value) : value;
}

/** Units of waits in words, in milliseconds. */
const WORD_UNITS: ReadonlyMap<string, number> = new Map([
  ['second', 1000],
  ['minute', 60_000],
  ['hour', 3_600_000],
  ['day', 86_400_000],
]);

const WAIT_IN_WORDS =
  /\b(?:try again|retry(?: again)?|wait)(?: in| after| for)? ((?:,? ?(?:and )?\d{1,6} ?(?:second|minute|hour|day)s?\b)+|\d[\d.hms]{0,20}\b)/i;

/**
 * Reads "try again in 20s", "in 1m30.5s" (OpenAI, Groq), "in 12 seconds" (Azure), "wait 41234 seconds" (GitHub), "in 2
 * hours", and "in 1 minute and 30 seconds".
 */
function readWaitInWords(text: string): number | null {
  const said = WAIT_IN_WORDS.exec(text)?.[1]?.toLowerCase();
  if (said === undefined) return null;
  const amounts = [...said.matchAll(/(\d+) ?(second|minute|hour|day)/g)];
  if (amounts.length === 0) return parseGoDuration(said);
  return amounts.reduce((sum, [, amount, unit]) => sum + Number(amount) * (WORD_UNITS.get(unit ?? '') ?? 0), 0) || null;
}

function isWait(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value > 0;
}

/** Reads OpenRouter's metadata (openrouter.ai/docs, errors and limits). */
function readOpenRouter(error: Fields): Partial<RefusalFacts> {
  const metadata = toRecord(error['metadata']);
  const kinds = new Map<unknown, 'in-flight' | 'key' | 'account'>([
    ['openrouter_in_flight_budget', 'in-flight'],
    ['openrouter_key_limit', 'key'],
    ['openrouter_credits', 'account'],
  ]);
  const creditLimit = kinds.get(metadata['limit_source']);
  const headers = readHeaders(metadata['headers']);
  const seconds = [metadata['retry_after_seconds'], metadata['retry_after']].find(isWait);
  const isUpstream = metadata['provider_code'] !== undefined || metadata['provider_name'] !== undefined;
  return {
    ...(creditLimit === undefined ? {} : { creditLimit }),
    ...(headers === undefined ? {} : { headers }),
    ...(seconds === undefined ? {} : { waitMs: Math.ceil(seconds * 1000) }),
    // The limit is the upstream provider's, whose models are others than this key's.
    ...(isUpstream ? { perModel: true, upstream: true } : {}),
    ...(Array.isArray(metadata['reasons']) || metadata['flagged_input'] !== undefined ? { moderated: true } : {}),
  };
}

/** Reads google.rpc.RetryInfo, QuotaFailure and ErrorInfo in `error.details`. */
function readGoogle(error: Fields): Partial<RefusalFacts> {
  const details = listOf(error['details']);
  const delay = details.map((detail) => detail['retryDelay']).find((value) => typeof value === 'string');
  const waitMs = delay === undefined ? null : parseProtobufDuration(delay);
  const violations = details.flatMap((detail) => listOf(detail['violations']));
  const isDaily = violations.some(
    ({ quotaId }) => typeof quotaId === 'string' && /PerDay/.test(quotaId.slice(0, MAX_TEXT)),
  );
  const isPerModel = violations.some(
    (violation) =>
      toRecord(violation['quotaDimensions'])['model'] !== undefined || typeof violation['model'] === 'string',
  );
  return {
    reasons: details.flatMap(({ reason }) => (typeof reason === 'string' ? [reason] : [])),
    ...(waitMs === null ? {} : { waitMs }),
    ...(isDaily ? { daily: true } : {}),
    ...(isPerModel ? { perModel: true } : {}),
  };
}

function listOf(value: unknown): readonly Fields[] {
  return Array.isArray(value) ? value.slice(0, MAX_ENTRIES).map(toRecord) : [];
}

/** Returns header fields with lower-case names and text values; numbers become texts, all else is dropped. */
function readHeaders(value: unknown): Readonly<Record<string, string>> | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const entries = Object.entries(value).slice(0, MAX_ENTRIES * 2);
  return Object.fromEntries(
    entries.flatMap(([name, text]: [string, unknown]) =>
      typeof text === 'string' || typeof text === 'number' ? [[name.toLowerCase(), String(text)]] : [],
    ),
  );
}
