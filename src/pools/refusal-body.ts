/**
 * Reads what a refused call's error document says of limits. Only known fields are looked at, each checked, because the
 * body is a stranger's: it can be anything, of any depth, and can echo a key. Nothing of its text is passed on.
 */

import { parseProtobufDuration } from '../providers/reset-formats.ts';

/** Is what an error body said, as far as it matters to a key; absent fields were not there. */
export interface RefusalFacts {
  /** Is the wait that the body names, in milliseconds. */
  readonly waitMs?: number;
  /** Holds rate-limit headers that stand inside the body (OpenRouter), names lower-case. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Tells that a day's allowance is used up. */
  readonly daily?: true;
  /** Tells that the limit counts one model alone. */
  readonly perModel?: true;
  /** Tells that money is missing, whatever the status says. */
  readonly noCredit?: true;
  /** Tells that the key itself is wrong, whatever the status says. */
  readonly badKey?: true;
  /** Tells that what was asked is refused, whatever the status says (moderation). */
  readonly badRequest?: true;
  /** Tells that the key may not use the model that was asked for, whatever else it may. */
  readonly noAccess?: true;
  /** Is OpenRouter's kind of a 402. */
  readonly creditLimit?: 'in-flight' | 'key' | 'account';
}

type Fields = Readonly<Record<string, unknown>>;

/** Is how many entries of a list in a body are looked at. */
const MAX_ENTRIES = 16;

/** Reads an error body; anything that is no object says nothing. */
export function readRefusal(provider: string, body: unknown): RefusalFacts {
  // Gemini's streaming endpoint wraps its error in a list.
  const document = Array.isArray(body) ? asFields(body[0]) : asFields(body);
  const error = asFields(document?.['error']) ?? document;
  if (!error) return {};
  switch (provider) {
    case 'openrouter':
      return readOpenRouter(error);
    case 'google':
      return readGoogle(error);
    case 'xai':
      // A wrong key is a 400 there, and its error is a text beside a `code`.
      return mentions(document?.['error'] ?? error['message'], /incorrect api key|invalid api key/i)
        ? { badKey: true }
        : {};
    default:
      return readCommon(error);
  }
}

/**
 * Reads what OpenAI and those that copy its errors say; `insufficient_quota` is money, though its status is 429. A 403
 * with `model_not_found` (OpenAI) or `model_permission_blocked_…` (Groq) is about the model, and not about the key.
 */
function readCommon(error: Fields): RefusalFacts {
  const hasName = (name: string): boolean => error['code'] === name || error['type'] === name;
  if (hasName('insufficient_quota') || hasName('billing_hard_limit_reached')) return { noCredit: true };
  return mentions(error['code'], /^model_(?:not_found|permission_)/) ? { noAccess: true } : {};
}

/** Reads OpenRouter's metadata (openrouter.ai/docs, errors and limits). */
function readOpenRouter(error: Fields): RefusalFacts {
  const metadata = asFields(error['metadata']) ?? {};
  const kinds = {
    openrouter_in_flight_budget: 'in-flight',
    openrouter_key_limit: 'key',
    openrouter_credits: 'account',
  } as const;
  const source = metadata['limit_source'];
  const creditLimit = typeof source === 'string' && isKeyOf(kinds, source) ? kinds[source] : undefined;
  const headers = lowerCased(asFields(metadata['headers']));
  const seconds = metadata['retry_after_seconds'] ?? metadata['retry_after'];
  return {
    ...(creditLimit === undefined ? {} : { creditLimit }),
    ...(headers === undefined ? {} : { headers }),
    ...(typeof seconds === 'number' && seconds > 0 && Number.isFinite(seconds) ? { waitMs: seconds * 1000 } : {}),
    ...(mentions(error['message'], /per[- ]day|daily/i) ? { daily: true } : {}),
    // The limit is the upstream provider's, whose models are others than the rest of this key's.
    ...(metadata['provider_code'] !== undefined || metadata['provider_name'] !== undefined ? { perModel: true } : {}),
    ...(Array.isArray(metadata['reasons']) || metadata['flagged_input'] !== undefined ? { badRequest: true } : {}),
  };
}

/** Reads google.rpc.RetryInfo, QuotaFailure and ErrorInfo in `error.details`. */
function readGoogle(error: Fields): RefusalFacts {
  const details = Array.isArray(error['details']) ? error['details'].slice(0, MAX_ENTRIES).flatMap(asList) : [];
  const delay = details.map((detail) => detail['retryDelay']).find((value) => typeof value === 'string');
  const waitMs = typeof delay === 'string' ? parseProtobufDuration(delay) : null;
  const violations = details.flatMap((detail) =>
    Array.isArray(detail['violations']) ? detail['violations'].slice(0, MAX_ENTRIES).flatMap(asList) : [],
  );
  const daily = violations.some((violation) => mentions(violation['quotaId'], /PerDay/));
  const perModel = violations.some((violation) => asFields(violation['quotaDimensions'])?.['model'] !== undefined);
  return {
    ...(waitMs === null ? {} : { waitMs }),
    ...(daily ? { daily: true } : {}),
    ...(perModel || violations.some((violation) => typeof violation['model'] === 'string') ? { perModel: true } : {}),
    ...(details.some((detail) => detail['reason'] === 'API_KEY_INVALID') ? { badKey: true } : {}),
  };
}

function asFields(value: unknown): Fields | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined;
}

function asList(value: unknown): readonly Fields[] {
  const fields = asFields(value);
  return fields ? [fields] : [];
}

function mentions(value: unknown, pattern: RegExp): boolean {
  return typeof value === 'string' && pattern.test(value.slice(0, 1000));
}

function isKeyOf<Known extends object>(known: Known, name: PropertyKey): name is keyof Known {
  return Object.hasOwn(known, name);
}

/** Returns header fields with lower-case names and text values; numbers become texts, all else is dropped. */
function lowerCased(fields: Fields | undefined): Readonly<Record<string, string>> | undefined {
  if (!fields) return undefined;
  const entries = Object.entries(fields).slice(0, MAX_ENTRIES * 2);
  return Object.fromEntries(
    entries.flatMap(([name, value]) =>
      typeof value === 'string' || typeof value === 'number' ? [[name.toLowerCase(), String(value)]] : [],
    ),
  );
}
