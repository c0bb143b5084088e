/**
 * Classifies a failed request: who is to blame, for how long, and what to try next. Pure.
 *
 * A failure is classified once, where it was seen, by `classifyFailure` over the table of
 * failure-table.ts. Pools, completions, the gateway and key checks read the class. Blame reaches no
 * further than it must. An unknown refusal concerns its request, a failing provider blames no key,
 * and a limit has the scope that the provider reports.
 */

import { windowAt } from '../base/time-window.ts';
import type { CooldownSource } from '../protocol/pool.ts';
import { isPage, readError, type ReadError } from './error-reason.ts';
import {
  CONSEQUENCES,
  FAILURE_RULES,
  isTransient,
  REASON_WITHOUT_ANSWER,
  reasonOfOther,
  STATUS_OF_CODE,
  STATUS_OF_REPORT,
  type Blame,
  type CheckTime,
  type FailureReason,
  type FailureRule,
  type NextStep,
} from './failure-table.ts';
import type { ExchangeFailureKind } from './http-exchange.ts';
import { refusedWait } from './limit-windows.ts';
import { readRefusalDetails, type RefusalDetails } from './refusal-details.ts';
import { readAskedWait, readIetfWait } from './reset-formats.ts';

/**
 * Longest cooldown that a header or a body may ask for. A key whose provider asks for 18 days is
 * tried again after an hour.
 */
export const MAX_COOLDOWN_MS = 3_600_000;

/** Longest cooldown of a key whose day is used up: the end of the day cannot be further away. */
export const MAX_DAILY_COOLDOWN_MS = 86_400_000;

/** Cooldown of an account without credit, after which its key is checked before the next call. */
const NO_CREDIT_COOLDOWN_MS = 3_600_000;

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
  readonly check: CheckTime;
  /**
   * Text that is equal for two refusals in the same words. Only for comparison: it is made of the
   * provider's words and must never be shown or logged.
   */
  readonly likeness: string;
}

/**
 * A refusal: a status that is not 2xx, or a 2xx that began as a success and holds an error. Header
 * names are lower-case.
 */
export interface Refusal {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Parsed error document, or undefined where there was none. */
  readonly body: unknown;
}

/** A refusal, and what is known of the request that it answers. */
interface SeenRefusal extends Refusal {
  /** True where the caller chose the path, which a refusal may concern alone. */
  readonly isOwnPath?: boolean | undefined;
  /** Statuses with which this endpoint, a check of keys, refuses a key. */
  readonly invalidStatuses?: readonly number[] | undefined;
  /** Class that the reporting program gave it, where the daemon did not see it itself. */
  readonly reported?: keyof typeof STATUS_OF_REPORT;
}

/** A failed request as it was seen: a refusal, or why there is no whole answer. */
export type SeenFailure = SeenRefusal | { readonly transport: ExchangeFailureKind };

/** Time zone in which the day of a provider's daily limits begins, where it is not UTC. */
const DAY_ZONES: Readonly<Record<string, string>> = {
  // Gemini API documentation: requests per day reset at midnight Pacific time.
  google: 'America/Los_Angeles',
};

/** Providers that count each model on its own, by their documentation. */
const LIMITS_PER_MODEL = new Set(['mistral', 'deepseek']);

/**
 * Wait of a daily limit that is believed even of Google, whose shorter ones are those of the
 * minute's limit.
 */
const BELIEVABLE_DAY_MS = 3_600_000;

/** Classifies a failure; `now` is wall time in epoch milliseconds. */
export function classifyFailure(provider: string, seen: SeenFailure, now: number): FailureClass {
  if ('transport' in seen) {
    const reason = REASON_WITHOUT_ANSWER[seen.transport];
    const transient = CONSEQUENCES[reason].blame === 'provider';
    return build(reason, { status: null, transient, likeness: reason });
  }
  const failure = classifyRefusal(provider, seen, now);
  return seen.isOwnPath === true ? aboutThePath(failure) : failure;
}

function classifyRefusal(provider: string, seen: SeenRefusal, now: number): FailureClass {
  const error = readError(seen.body);
  const details = readRefusalDetails(provider, seen.body, error.message, now);
  const asked = readAskedWait(seen.headers, now);
  const status = refusalStatus(seen, error);
  const { reason, blame, check } = meaningOf(provider, status, seen, error, details);
  const known = {
    status,
    blame,
    check,
    transient: isTransient(status),
    retryAfterMs: asked ?? details.waitMs,
    likeness: likenessOf(status, error),
  };
  switch (reason) {
    case 'rate-limit':
    case 'daily-limit': {
      const limit = reason === 'daily-limit' ? { ...details, daily: true } : details;
      return rateLimit(provider, seen.headers, limit, asked, known, now);
    }
    case 'busy-budget':
      return build(reason, { ...known, ...boundedWait(headerOrBody(asked, details.waitMs), MAX_COOLDOWN_MS) });
    case 'no-credit':
    case 'billing-account-blocked':
      return build(reason, {
        ...known,
        cooldownMs: NO_CREDIT_COOLDOWN_MS,
        boundMs: NO_CREDIT_COOLDOWN_MS,
        source: details.creditLimit === undefined ? 'default' : 'body',
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

/** Returns true where the key, its account, or one of its models reached a limit. */
export function isLimit({ reason }: Pick<FailureClass, 'reason'>): boolean {
  return reason === 'rate-limit' || reason === 'daily-limit' || reason === 'no-credit' || reason === 'busy-budget';
}

/** Returns true where a key, its account or one of its models is out for a while, or for good. */
export function isOut(failure: Pick<FailureClass, 'reason'>): boolean {
  const { reason } = failure;
  return isLimit(failure) || reason === 'billing-account-blocked' || reason === 'no-access' || reason === 'invalid-key';
}

/**
 * Returns the status of a refusal. An error inside a 2xx stands for another one, or for none. A
 * reported status that does not fit the report is not believed.
 */
function refusalStatus({ status, reported }: SeenRefusal, { status: inside, codes }: ReadError): number {
  if (reported !== undefined && (status < 400 || status >= 500)) return STATUS_OF_REPORT[reported];
  if (status >= 300) return status;
  const known = codes.find((code) => Object.hasOwn(STATUS_OF_CODE, code));
  return inside ?? (known === undefined ? undefined : STATUS_OF_CODE[known]) ?? 200;
}

interface Meaning {
  readonly reason: FailureReason;
  readonly blame?: Blame | undefined;
  readonly check?: CheckTime | undefined;
}

function meaningOf(
  provider: string,
  status: number,
  { headers, body, invalidStatuses, reported }: SeenRefusal,
  error: ReadError,
  details: RefusalDetails,
): Meaning {
  const rule = ruleFor(provider, status, headers, error, details);
  const isWorded = rule?.code !== undefined || rule?.message !== undefined;
  const meaning: Meaning = rule ?? { reason: reasonOfOther(status) };
  if (invalidStatuses?.includes(status) === true && !isWorded) return { reason: 'invalid-key' };
  if (reported === undefined) return meaning;
  const isOtherwiseOut = meaning.reason !== 'invalid-key' && isOut(meaning);
  if (reported === 'limited') return isOtherwiseOut ? meaning : { reason: 'rate-limit' };
  // The daemon did not see the refusal itself: the key is checked.
  return isOtherwiseOut && body !== undefined ? meaning : { reason: 'invalid-key', check: 'now' };
}

function ruleFor(
  provider: string,
  status: number,
  headers: Readonly<Record<string, string>>,
  error: ReadError,
  details: RefusalDetails,
): FailureRule | undefined {
  const codes = [...error.codes, ...details.reasons];
  const text = error.message?.trimStart() ?? '';
  return FAILURE_RULES.find(
    ({ providers, statuses, code, message, detail }) =>
      (providers === undefined || providers.includes(provider)) &&
      (statuses === undefined ? status >= 400 && status < 500 && status !== 408 : statuses.includes(status)) &&
      (code === undefined || codes.some((one) => code.test(one))) &&
      (message === undefined || message.test(text)) &&
      (detail === undefined || detail(details, isPage(headers))),
  );
}

/**
 * Returns what a refusal of a path of the caller's choice means: no key is blamed, unless a check
 * finds it invalid.
 */
function aboutThePath(failure: FailureClass): FailureClass {
  const { blame, reason } = failure;
  if (blame === 'request' || blame === 'provider') return failure;
  const isKeyInQuestion = reason === 'invalid-key' || reason === 'billing-account-blocked' || reason === 'no-credit';
  return { ...failure, blame: 'request', check: isKeyInQuestion ? 'now' : 'never' };
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
  details: RefusalDetails,
  askedMs: number | undefined,
  known: Known,
  now: number,
): FailureClass {
  const reset = resetWait(provider, details, headers, now);
  const asked = headerOrBody(askedMs, undefined);
  // A used-up day outlasts the few seconds that Retry-After names for the minute's limit.
  const said =
    reset?.daily && reset.waitMs > (asked?.waitMs ?? 0)
      ? reset
      : (asked ?? reset ?? headerOrBody(undefined, details.waitMs));
  const isDaily = details.daily || said?.daily === true;
  const wait = isDaily ? untilNextDay(provider, said, now) : said;
  return build(isDaily ? 'daily-limit' : 'rate-limit', {
    ...known,
    blame: details.perModel || LIMITS_PER_MODEL.has(provider) ? 'model' : 'billing-account',
    ...boundedWait(wait, isDaily ? MAX_DAILY_COOLDOWN_MS : MAX_COOLDOWN_MS),
  });
}

/**
 * Returns the wait of a used-up day. It is the provider's, if that can be a day's, else the time to
 * the next day.
 */
function untilNextDay(provider: string, said: Wait | null, now: number): Wait {
  if (said && (said.daily || said.waitMs >= BELIEVABLE_DAY_MS)) return said;
  // Other providers' days are rolling ones (OpenAI, Groq): their wait is right.
  if (said && provider !== 'google') return said;
  const zone = Object.hasOwn(DAY_ZONES, provider) ? DAY_ZONES[provider] : undefined;
  return { waitMs: windowAt(now, 'day', zone ?? 'UTC').end - now, source: said?.source ?? 'default', daily: true };
}

function resetWait(
  provider: string,
  details: RefusalDetails,
  headers: Readonly<Record<string, string>>,
  now: number,
): Wait | null {
  const own = refusedWait(provider, headers, now);
  if (own) return { ...own, source: 'header' };
  const inBody = details.headers ? refusedWait(provider, details.headers, now) : null;
  if (inBody) return { ...inBody, daily: inBody.daily || details.daily, source: 'body' };
  const ietf = readIetfWait(headers, now);
  return ietf === undefined ? null : { waitMs: ietf, daily: false, source: 'header' };
}

function headerOrBody(askedMs: number | undefined, waitMs: number | undefined): Wait | null {
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
