/**
 * What a failed request means: who is to blame, for how long, and what to try next. Pure.
 *
 * A failure is classified once, where it was seen; pools, completions, the gateway and key checks
 * read the class. Blame reaches no further than it must. An unknown refusal concerns its request, a
 * failing provider blames no key, and a limit has the scope that the provider reports.
 */

import { windowAt } from '../base/time-window.ts';
import { readError, type ReadError } from './error-reason.ts';
import type { ExchangeFailure } from './http-exchange.ts';
import { refusedWait } from './limit-windows.ts';
import { readRefusalDetails, type RefusalDetails } from './refusal-details.ts';
import { REFUSAL_RULES, type Blame, type FailureReason } from './refusal-rules.ts';
import { readAskedWait, readIetfWait } from './reset-formats.ts';

export type { Blame, FailureReason } from './refusal-rules.ts';

/**
 * Longest cooldown that a header or a body may ask for. A key whose provider asks for 18 days is
 * tried again after an hour.
 */
export const MAX_COOLDOWN_MS = 3_600_000;

/** Longest cooldown of a key whose day is used up: the end of the day cannot be further away. */
export const MAX_DAILY_COOLDOWN_MS = 86_400_000;

/** Cooldown of an account without credit, after which its key is checked before the next call. */
const NO_CREDIT_COOLDOWN_MS = 3_600_000;

/**
 * What to try next: `stop`: nothing would do better. `another-key`: the same request with the next
 * key. `again`: the same after a pause. `another-route`: a fallback provider or model.
 */
export type NextStep = 'stop' | 'another-key' | 'again' | 'another-route';

/**
 * Who set how long a cooldown lasts: a header, the error body, our own count of a quota, or nobody.
 */
export type CooldownSource = 'header' | 'body' | 'quota' | 'default';

/** Classification of one failure. */
export interface FailureClass {
  readonly blame: Blame;
  readonly reason: FailureReason;
  /**
   * Status of the answer, or the one that an error inside a 2xx stands for; null without an answer.
   */
  readonly status: number | null;
  /**
   * Length of the cooldown of what is blamed, within `boundMs`, in milliseconds; null for the
   * doubling default.
   */
  readonly cooldownMs: number | null;
  /** Longest time that `cooldownMs` was allowed to be. */
  readonly boundMs: number;
  readonly source: CooldownSource;
  /** Time after which the provider allows the request to be repeated, in milliseconds. */
  readonly retryAfterMs: number | undefined;
  /** True where the unchanged request may succeed later. */
  readonly transient: boolean;
  readonly next: NextStep;
  /** When the key is checked for free: at once, or when its cooldown ends, before the next call. */
  readonly check: 'never' | 'now' | 'after-cooldown';
  /**
   * Text that is equal for two refusals in the same words. Only for comparison: it is made of the
   * provider's words and must never be shown or logged.
   */
  readonly likeness: string;
}

/** What was seen of a request that failed. */
export type SeenFailure =
  /**
   * An answer that is a refusal, or (below 300) one that began as a success and holds an error.
   * Header names are lower-case.
   */
  | {
      readonly status: number;
      readonly headers: Readonly<Record<string, string>>;
      /** Parsed error document, or undefined where there was none. */
      readonly body: unknown;
    }
  /** No whole answer. */
  | { readonly transport: ExchangeFailure['kind'] };

/** Usual consequences of a reason. */
const CONSEQUENCES: Readonly<
  Record<FailureReason, { readonly blame: Blame; readonly next: NextStep; readonly check?: FailureClass['check'] }>
> = {
  'rate-limit': { blame: 'account', next: 'another-key' },
  'daily-limit': { blame: 'account', next: 'another-key' },
  'no-credit': { blame: 'account', next: 'another-key', check: 'after-cooldown' },
  'busy-budget': { blame: 'account', next: 'another-key' },
  'no-access': { blame: 'model', next: 'another-key' },
  'account-blocked': { blame: 'account', next: 'another-key', check: 'after-cooldown' },
  'invalid-key': { blame: 'key', next: 'another-key' },
  'unsendable-key': { blame: 'key', next: 'another-key' },
  'bad-request': { blame: 'request', next: 'stop' },
  unaffordable: { blame: 'request', next: 'another-key' },
  unexplained: { blame: 'request', next: 'another-key', check: 'now' },
  // A configuration with which nothing can be sent fails for good, and another provider has its
  // own.
  misconfigured: { blame: 'request', next: 'another-route' },
  cancelled: { blame: 'request', next: 'stop' },
  'server-error': { blame: 'provider', next: 'again' },
  // A time limit took so long that asking again would double the wait; another provider may be
  // faster.
  timeout: { blame: 'provider', next: 'another-route' },
  network: { blame: 'provider', next: 'again' },
  unreachable: { blame: 'provider', next: 'again' },
  garbage: { blame: 'provider', next: 'again' },
  redirect: { blame: 'provider', next: 'another-route' },
  'blocked-on-the-way': { blame: 'provider', next: 'another-route' },
};

/** Reason of each transport failure. */
const OF_TRANSPORT: Readonly<Record<ExchangeFailure['kind'], FailureReason>> = {
  timeout: 'timeout',
  network: 'network',
  unreachable: 'unreachable',
  garbage: 'garbage',
  unsendable: 'misconfigured',
  'unsendable-key': 'unsendable-key',
  aborted: 'cancelled',
};

/** Time zone in which the day of a provider's daily limits begins, where it is not UTC. */
const DAY_ZONES: Readonly<Record<string, string>> = {
  // Gemini API documentation: requests per day reset at midnight Pacific time.
  google: 'America/Los_Angeles',
};

/** Providers that count each model on its own, by their documentation. */
const LIMITS_PER_MODEL = new Set(['mistral', 'deepseek']);

/**
 * Wait of a daily limit that is believed as it is; a shorter one is that of a limit by the minute
 * beside it.
 */
const BELIEVABLE_DAY_MS = 3_600_000;

/** Classifies a failure; `now` is wall time in epoch milliseconds. */
export function classifyFailure(provider: string, seen: SeenFailure, now: number): FailureClass {
  if ('transport' in seen) {
    const reason = OF_TRANSPORT[seen.transport];
    const transient = reason !== 'misconfigured' && reason !== 'unsendable-key' && reason !== 'cancelled';
    return build(reason, { status: null, transient, likeness: reason });
  }
  const error = readError(seen.body);
  const status = seen.status < 300 ? statusInside(error) : seen.status;
  const facts = readRefusalDetails(provider, seen.body, error.message, now);
  const asked = readAskedWait(seen.headers, now);
  const { reason, blame } = meaningOf(provider, status, seen.headers, error, facts);
  const known = {
    status,
    blame,
    transient: isTransient(status),
    retryAfterMs: asked ?? facts.waitMs,
    likeness: likenessOf(status, error),
  };
  switch (reason) {
    case 'rate-limit':
    case 'daily-limit':
      return rateLimit(
        provider,
        seen.headers,
        reason === 'daily-limit' ? { ...facts, daily: true } : facts,
        asked,
        known,
        now,
      );
    case 'busy-budget':
      return build(reason, { ...known, ...boundedWait(headerOrBody(asked, facts), MAX_COOLDOWN_MS) });
    case 'no-credit':
    case 'account-blocked':
      return build(reason, {
        ...known,
        cooldownMs: NO_CREDIT_COOLDOWN_MS,
        boundMs: NO_CREDIT_COOLDOWN_MS,
        source: facts.creditLimit === undefined ? 'default' : 'body',
      });
    case 'unaffordable':
      // The same request meets the same limit again, whatever the status or a header has about
      // waiting.
      return build(reason, { ...known, transient: false, retryAfterMs: undefined });
    case 'no-access':
      return build(reason, { ...known, cooldownMs: MAX_COOLDOWN_MS, boundMs: MAX_COOLDOWN_MS, source: 'body' });
    default:
      return build(reason, known);
  }
}

/**
 * Returns whether the same request may succeed later: 408, 425, 429 and every 5xx (RFC 9110, 15;
 * RFC 6585; RFC 8470), and an error inside a 2xx without further detail.
 */
export function isTransient(status: number): boolean {
  return status < 300 || status === 408 || status === 425 || status === 429 || status >= 500;
}

/** Returns true where the key, its account, or one of its models reached a limit. */
export function isLimit({ reason }: FailureClass): boolean {
  return reason === 'rate-limit' || reason === 'daily-limit' || reason === 'no-credit' || reason === 'busy-budget';
}

/**
 * Status that the codes and types of an error inside a 2xx stand for: OpenAI's, Anthropic's and
 * MiniMax's lists of error codes. OpenRouter writes the status itself as the code.
 */
const STATUS_OF_CODE: Readonly<Record<string, number>> = {
  invalid_request_error: 400,
  context_length_exceeded: 400,
  content_filter: 400,
  authentication_error: 401,
  invalid_api_key: 401,
  permission_error: 403,
  not_found_error: 404,
  model_not_found: 404,
  request_too_large: 413,
  rate_limit_error: 429,
  rate_limit_exceeded: 429,
  insufficient_quota: 429,
  api_error: 500,
  server_error: 500,
  internal_server_error: 500,
  overloaded_error: 529,
  base_resp_1002: 429,
  base_resp_1004: 401,
  base_resp_1008: 402,
  base_resp_1039: 429,
  base_resp_2013: 400,
  base_resp_2049: 401,
};

/** Returns the status that an error inside a 2xx stands for, or 200 where it names none. */
export function statusInside({ status, codes }: ReadError): number {
  const known = codes.find((code) => Object.hasOwn(STATUS_OF_CODE, code));
  return status ?? (known === undefined ? undefined : STATUS_OF_CODE[known]) ?? 200;
}

interface Meaning {
  readonly reason: FailureReason;
  readonly blame?: Blame | undefined;
}

function meaningOf(
  provider: string,
  status: number,
  headers: Readonly<Record<string, string>>,
  error: ReadError,
  facts: RefusalDetails,
): Meaning {
  const rule = ruleFor(provider, status, error, facts);
  if (rule) return rule;
  if (status < 300 || status >= 500 || status === 408) return { reason: 'server-error' };
  if (status < 400) return { reason: 'redirect' };
  switch (status) {
    case 401:
      return facts.upstream ? { reason: 'unexplained' } : { reason: 'invalid-key' };
    case 402:
      if (facts.creditLimit === 'in-flight') return { reason: 'busy-budget' };
      return { reason: 'no-credit', blame: facts.creditLimit === 'key' ? 'key' : 'account' };
    case 403:
      // A page for people is from something in between (a firewall, a proxy), which knows nothing
      // of the key.
      if (/^\s*(?:text\/html|application\/xhtml)/i.test(headers['content-type'] ?? ''))
        return { reason: 'blocked-on-the-way' };
      return { reason: facts.moderated ? 'bad-request' : 'unexplained' };
    case 425:
      return { reason: 'server-error', blame: 'request' };
    case 429:
      return { reason: 'rate-limit' };
    default:
      return { reason: 'bad-request' };
  }
}

function ruleFor(provider: string, status: number, error: ReadError, facts: RefusalDetails): Meaning | undefined {
  const codes = [...error.codes, ...facts.reasons];
  return REFUSAL_RULES.find(
    ({ providers, statuses, code, message }) =>
      (providers === undefined || providers.includes(provider)) &&
      (statuses === undefined ? status >= 400 && status < 500 && status !== 408 : statuses.includes(status)) &&
      (code === undefined || codes.some((one) => code.test(one))) &&
      (message === undefined || message.test(error.message?.trimStart() ?? '')),
  );
}

interface Wait {
  readonly waitMs: number;
  readonly source: CooldownSource;
  readonly daily: boolean;
}

/**
 * Classifies a 429: Retry-After first, then a reset in the headers or in the body, else the
 * doubling default.
 */
function rateLimit(
  provider: string,
  headers: Readonly<Record<string, string>>,
  facts: RefusalDetails,
  askedMs: number | undefined,
  known: Known,
  now: number,
): FailureClass {
  const reset = resetWait(provider, facts, headers, now);
  const asked = headerOrBody(askedMs, {});
  // A used-up day outlasts the few seconds that Retry-After names for the minute's limit.
  const said =
    reset?.daily && reset.waitMs > (asked?.waitMs ?? 0) ? reset : (asked ?? reset ?? headerOrBody(undefined, facts));
  const isDaily = facts.daily === true || said?.daily === true;
  const wait = isDaily ? untilNextDay(provider, said, now) : said;
  return build(isDaily ? 'daily-limit' : 'rate-limit', {
    ...known,
    blame: facts.perModel || LIMITS_PER_MODEL.has(provider) ? 'model' : 'account',
    ...boundedWait(wait, isDaily ? MAX_DAILY_COOLDOWN_MS : MAX_COOLDOWN_MS),
  });
}

/**
 * Returns the wait of a used-up day. It is the provider's, if that can be a day's, else the time to
 * the next day.
 */
function untilNextDay(provider: string, said: Wait | null, now: number): Wait {
  if (said && (said.daily || said.waitMs >= BELIEVABLE_DAY_MS)) return said;
  // A message that names the wait in words knows it: such days are rolling ones (OpenAI, Groq).
  if (said && provider !== 'google') return said;
  const zone = Object.hasOwn(DAY_ZONES, provider) ? DAY_ZONES[provider] : undefined;
  return { waitMs: windowAt(now, 'day', zone ?? 'UTC').end - now, source: said?.source ?? 'default', daily: true };
}

function resetWait(
  provider: string,
  facts: RefusalDetails,
  headers: Readonly<Record<string, string>>,
  now: number,
): Wait | null {
  const own = refusedWait(provider, headers, now);
  if (own) return { ...own, source: 'header' };
  const inBody = facts.headers ? refusedWait(provider, facts.headers, now) : null;
  if (inBody) return { ...inBody, daily: inBody.daily || facts.daily === true, source: 'body' };
  const ietf = readIetfWait(headers, now);
  return ietf === undefined ? null : { waitMs: ietf, daily: false, source: 'header' };
}

function headerOrBody(askedMs: number | undefined, { waitMs }: { readonly waitMs?: number }): Wait | null {
  if (askedMs !== undefined && askedMs > 0) return { waitMs: askedMs, source: 'header', daily: false };
  return waitMs === undefined ? null : { waitMs, source: 'body', daily: false };
}

function boundedWait(wait: Wait | null, boundMs: number): Pick<FailureClass, 'cooldownMs' | 'boundMs' | 'source'> {
  return {
    cooldownMs: wait === null ? null : Math.min(wait.waitMs, boundMs),
    boundMs,
    source: wait?.source ?? 'default',
  };
}

type Known = Pick<FailureClass, 'status' | 'transient' | 'likeness'> & {
  readonly [Field in Exclude<keyof FailureClass, 'reason' | 'status' | 'transient' | 'likeness'>]?:
    FailureClass[Field] | undefined;
};

function build(reason: FailureReason, known: Known): FailureClass {
  const usual = CONSEQUENCES[reason];
  return {
    blame: known.blame ?? usual.blame,
    reason,
    status: known.status,
    cooldownMs: known.cooldownMs ?? null,
    boundMs: known.boundMs ?? MAX_COOLDOWN_MS,
    source: known.source ?? 'default',
    retryAfterMs: known.retryAfterMs,
    transient: known.transient,
    next: known.next ?? usual.next,
    check: known.check ?? usual.check ?? 'never',
    likeness: known.likeness,
  };
}

/**
 * Returns the words of a refusal without what differs from call to call: numbers, ids, letter case.
 */
function likenessOf(status: number, { message, codes }: ReadError): string {
  const words = (message ?? '').toLowerCase().replace(/[\w-]*\d[\w-]*/g, '#');
  return [status, ...codes, words].join('|').slice(0, 500);
}
