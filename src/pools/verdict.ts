/**
 * Judges how a call ended: who is to blame, and how long that one rests. Pure; what is done about it is pool.ts's.
 *
 * A caller's own mistake blames nobody, a failing provider blames no key, and a limit reaches exactly as far as the
 * provider says it does.
 */

import type { RestReason, RestSource } from '../protocol/pool.ts';
import type { LeaseOutcome } from './lease.ts';
import { refusedWait } from '../providers/limit-windows.ts';
import { readRefusal, type RefusalFacts } from './refusal-body.ts';
import { readAskedWait } from '../providers/reset-formats.ts';

/** Is the longest rest from a header or a body: a provider that says 18 days is asked again after an hour. */
export const MAX_REST_MS = 3_600_000;

/** Is the longest rest of a key whose day is used up: the day's end cannot be further away. */
export const MAX_DAILY_REST_MS = 86_400_000;

/** Is how long a key without credit rests before it is checked. */
export const NO_CREDIT_REST_MS = 3_600_000;

/** Is a sentence to rest. */
export interface Sentence {
  /** Is what rests: the key alone, what shares its limits (its account; by default the key stands alone), or the model with them. */
  readonly scope: 'key' | 'account' | 'account-model';
  readonly reason: RestReason;
  readonly source: RestSource;
  /** Is how long, already bounded; null for the doubling default. */
  readonly restMs: number | null;
  /** Is the longest that `restMs` was allowed to be. */
  readonly boundMs: number;
  /** Tells that a check of the key comes before its next call. */
  readonly thenCheck: boolean;
}

/** Is the judgement of one call. */
export type Verdict =
  /** The key served: what rested is cleared. */
  | { readonly kind: 'served' }
  /** Nobody is blamed: the request's own mistake, or its caller ended it. */
  | { readonly kind: 'unblamed' }
  /** The provider failed, whichever key was used. */
  | { readonly kind: 'provider-failed' }
  | { readonly kind: 'limited'; readonly sentence: Sentence }
  /** The key is not accepted: it waits for its file to change or for a check. The status is 0 where it cannot even be sent. */
  | { readonly kind: 'rejected'; readonly status: number };

/** Judges an outcome; `model` is what was asked for, `now` wall time in epoch milliseconds. */
export function judge(outcome: LeaseOutcome, provider: string, model: string | undefined, now: number): Verdict {
  if (outcome.kind === 'succeeded') return { kind: 'served' };
  if (outcome.kind === 'unsendable') return { kind: 'rejected', status: 0 };
  if (outcome.kind === 'cancelled') return { kind: 'unblamed' };
  if (outcome.kind === 'unavailable') return { kind: 'provider-failed' };
  return judgeRefusal(outcome, provider, model, now);
}

/** Is the sentence of a key that may not use one model: its other models, and keys of other rights, are as good as before. */
const NO_ACCESS: Sentence = {
  scope: 'account-model',
  reason: 'no-access',
  source: 'body',
  restMs: MAX_REST_MS,
  boundMs: MAX_REST_MS,
  thenCheck: false,
};

function judgeRefusal(
  { status, headers, body }: Extract<LeaseOutcome, { kind: 'refused' }>,
  provider: string,
  model: string | undefined,
  now: number,
): Verdict {
  const facts = readRefusal(provider, body);
  if (status === 401 || (facts.badKey && status >= 400 && status < 500)) return { kind: 'rejected', status };
  if (status === 403 && facts.noAccess) {
    return model === undefined ? { kind: 'unblamed' } : { kind: 'limited', sentence: NO_ACCESS };
  }
  // A page for people is from something in between (a firewall, a proxy), which knows nothing of the key.
  if (status === 403 && isPage(headers)) return { kind: 'provider-failed' };
  if (status === 403) return facts.badRequest ? { kind: 'unblamed' } : { kind: 'rejected', status };
  if (status === 402) return { kind: 'limited', sentence: noCredit(facts, headers, now) };
  if (status === 429) {
    return {
      kind: 'limited',
      sentence: facts.noCredit ? noCredit({}, {}, now) : rateLimit(provider, model, facts, headers, now),
    };
  }
  // An error inside a 200 that does not say whose fault it is, is the provider's: it had taken the request on.
  if (status < 300 || status >= 500 || status === 408) return { kind: 'provider-failed' };
  return { kind: 'unblamed' };
}

function isPage(headers: Readonly<Record<string, string>>): boolean {
  return /^\s*(?:text\/html|application\/xhtml)/i.test(headers['content-type'] ?? '');
}

/** Returns the wait that a refusal asks for in its headers, in milliseconds, or 0; `now` is wall time in epoch milliseconds. */
export function askedWaitMs(outcome: LeaseOutcome, now: number): number {
  return outcome.kind === 'refused' ? (retryAfter(outcome.headers, now)?.waitMs ?? 0) : 0;
}

/** Sentences a 402; OpenRouter tells a full in-flight budget, which passes, from a key's own limit and an empty account. */
function noCredit(facts: RefusalFacts, headers: Readonly<Record<string, string>>, now: number): Sentence {
  if (facts.creditLimit === 'in-flight') {
    const wait = retryAfter(headers, now) ?? bodyWait(facts);
    return {
      scope: 'account',
      reason: 'busy-budget',
      source: wait?.source ?? 'default',
      restMs: wait === null ? null : Math.min(wait.waitMs, MAX_REST_MS),
      boundMs: MAX_REST_MS,
      thenCheck: false,
    };
  }
  return {
    scope: facts.creditLimit === 'key' ? 'key' : 'account',
    reason: 'no-credit',
    source: facts.creditLimit === undefined ? 'default' : 'body',
    restMs: NO_CREDIT_REST_MS,
    boundMs: NO_CREDIT_REST_MS,
    thenCheck: true,
  };
}

interface Wait {
  readonly waitMs: number;
  readonly source: RestSource;
  readonly daily: boolean;
}

/** Sentences a 429: Retry-After first, then a reset that is in the headers or in the body, else the doubling default. */
function rateLimit(
  provider: string,
  model: string | undefined,
  facts: RefusalFacts,
  headers: Readonly<Record<string, string>>,
  now: number,
): Sentence {
  const reset = resetWait(provider, facts, headers, now);
  const asked = retryAfter(headers, now);
  // A used-up day outlasts the few seconds that Retry-After names for the minute's limit.
  const wait = reset?.daily && reset.waitMs > (asked?.waitMs ?? 0) ? reset : (asked ?? reset ?? bodyWait(facts));
  const daily = wait !== null && (wait.daily || facts.daily === true);
  const boundMs = daily ? MAX_DAILY_REST_MS : MAX_REST_MS;
  return {
    scope: model !== undefined && (facts.perModel || limitsPerModel(provider)) ? 'account-model' : 'account',
    reason: daily ? 'daily-limit' : 'rate-limit',
    source: wait?.source ?? 'default',
    restMs: wait === null ? null : Math.min(wait.waitMs, boundMs),
    boundMs,
    thenCheck: false,
  };
}

function resetWait(
  provider: string,
  facts: RefusalFacts,
  headers: Readonly<Record<string, string>>,
  now: number,
): Wait | null {
  const own = refusedWait(provider, headers, now);
  if (own) return { ...own, daily: own.daily || facts.daily === true, source: 'header' };
  const inBody = facts.headers ? refusedWait(provider, facts.headers, now) : null;
  return inBody ? { ...inBody, daily: inBody.daily || facts.daily === true, source: 'body' } : null;
}

function retryAfter(headers: Readonly<Record<string, string>>, now: number): Wait | null {
  const waitMs = readAskedWait(headers, now);
  return waitMs === undefined ? null : { waitMs, source: 'header', daily: false };
}

function bodyWait(facts: RefusalFacts): Wait | null {
  return facts.waitMs === undefined ? null : { waitMs: facts.waitMs, source: 'body', daily: facts.daily === true };
}

/** Tells whether the provider counts each model on its own (Mistral and DeepSeek say so). */
function limitsPerModel(provider: string): boolean {
  return provider === 'mistral' || provider === 'deepseek';
}
