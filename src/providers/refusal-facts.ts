/**
 * Reads what an error document says besides its message: waits, windows, how far a limit reaches. Pure.
 *
 * The document can be anything, of any depth, and can echo a key. Only known fields are read, each checked, and nothing
 * of the text is passed on.
 */

import { toRecord } from '../base/json.ts';
import { parseGoDuration, parseProtobufDuration } from './reset-formats.ts';

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

/** Reads an error document; anything that is not an object has no facts. */
export function readRefusalFacts(provider: string, body: unknown): RefusalFacts {
  // Gemini's streaming endpoint wraps its error in a list.
  const document = toRecord(Array.isArray(body) ? body[0] : body);
  const inner = document['error'];
  const error = typeof inner === 'object' && inner !== null ? toRecord(inner) : document;
  const message = [error['message'], inner, document['message']].find((text) => typeof text === 'string') ?? '';
  const common = readCommon(error, message);
  if (provider === 'openrouter') return { ...common, ...readOpenRouter(error) };
  return provider === 'google' ? { ...common, ...readGoogle(error) } : common;
}

const DAILY_LIMIT = /\b(?:per[- ]day|daily (?:rate )?limit|\((?:RPD|TPD)\))/i;

/** Reads waits that many providers put into the body, as a number of seconds or in words. */
function readCommon(error: Fields, message: string): RefusalFacts {
  const text = message.slice(0, MAX_TEXT);
  const seconds = [error['retry_after'], error['retry_after_seconds'], error['resets_in_seconds']].find(isWait);
  const waitMs = seconds === undefined ? readWaitInWords(text) : Math.ceil(seconds * 1000);
  return {
    reasons: typeof error['code'] === 'number' ? [String(error['code'])] : [],
    ...(waitMs === null ? {} : { waitMs }),
    ...(DAILY_LIMIT.test(text) ? { daily: true } : {}),
  };
}

/** Reads "try again in 20s", "in 1m30.5s" (OpenAI, Groq) and "in 12 seconds" (Azure, others). */
function readWaitInWords(text: string): number | null {
  const match =
    /\b(?:try again|retry(?: again)?|wait) (?:in|after|for) (\d{1,6} ?(?:seconds?|minutes?)|\d[\d.hms]{0,20})\b/i.exec(
      text,
    );
  const said = match?.[1]?.toLowerCase();
  if (said === undefined) return null;
  const [amount = '', unit = ''] = said.split(/(?<=\d) ?(?=second|minute)/);
  if (unit.startsWith('second')) return Number(amount) * 1000 || null;
  if (unit.startsWith('minute')) return Number(amount) * 60_000 || null;
  return parseGoDuration(said);
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
