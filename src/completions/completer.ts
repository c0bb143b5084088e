/**
 * Has providers complete chats: leases a key, makes an attempt, settles the key, and goes on with the next key, a little
 * later, or with a fallback, as next-step.ts says.
 *
 * Every lease is settled exactly once, whatever happens.
 */

import type { Clock } from '../base/clock.ts';
import { AipassError } from '../base/errors.ts';
import { delay } from '../base/timeout.ts';
import type { Redactor } from '../base/redactor.ts';
import { backoffMs, type Backoff, type Chance } from '../pools/backoff.ts';
import type { KeyLease, KeySource, LeaseOutcome } from '../pools/lease.ts';
import { askedWaitMs } from '../pools/verdict.ts';
import type { CompletionFallback, CompletionParams, CompletionResult } from '../protocol/completion.ts';
import type { Provider } from '../providers/provider.ts';
import type { Providers } from '../providers/registry.ts';
import { unknownProvider } from '../providers/unknown-provider.ts';
import type { EventCaller, RawEvent } from '../usage/event.ts';
import { attemptCompletion, type DeltaReceiver } from './attempt.ts';
import { attemptEvent, unaskedEvent } from './completion-event.ts';
import { nextStep } from './next-step.ts';
import type { CompletionOutcome, FailedCompletion } from './outcome.ts';
import { routesOf, type Route } from './route.ts';

/** Says how often a failing provider is asked again within one request. */
export interface RetryPolicy {
  /** Is how often it is asked at most. */
  readonly attempts: number;
  readonly backoff: Backoff;
  readonly chance: Chance;
}

/** Is what a completer works with. */
export interface CompleterOptions {
  readonly providers: Providers;
  readonly keys: KeySource;
  readonly redactor: Redactor;
  readonly clock: Clock;
  /** Is asked where the parameters name no provider. */
  readonly defaultProvider: string;
  /** Is absent where a failing provider is never asked again. */
  readonly retry?: RetryPolicy;
  /** Lists whom to ask where a request names no fallbacks. */
  readonly fallbacks?: readonly CompletionFallback[];
  /** Keeps what happened; it is on disk before the caller has its answer. */
  readonly record: (event: RawEvent) => void;
}

/** Is how one completion is controlled. */
export interface CompleteControl {
  /** Ends the request, and the provider's connection with it, at once. */
  readonly signal: AbortSignal;
  /** Receives the deltas of a streamed completion; a promise holds the next one back. */
  readonly onDelta?: DeltaReceiver | undefined;
  /** Is who asks, for the records; without it nobody is named. */
  readonly caller?: EventCaller | undefined;
}

/** Is the end of one route; `isFinal` tells that no other route may be tried, `wasAsked` that its provider heard of it. */
type RouteEnd =
  | { readonly kind: 'succeeded'; readonly result: CompletionResult }
  | { readonly kind: 'failed'; readonly error: AipassError; readonly isFinal: boolean; readonly wasAsked: boolean };

/** Completes chats. */
export class Completer {
  readonly #options: CompleterOptions;

  constructor(options: CompleterOptions) {
    this.#options = options;
  }

  /**
   * Completes one chat. Every healthy key is tried once; a failing provider is asked again within its time limit.
   *
   * @throws AipassError NOT_FOUND for an unknown provider or one without a key, POOL_EXHAUSTED where no key is free,
   * PROVIDER_REJECTED with the provider's status, PROVIDER_UNAVAILABLE, TIMED_OUT, CANCELLED. With fallbacks that failed
   * too, the error of the first route.
   */
  async complete(params: CompletionParams, control: CompleteControl): Promise<CompletionResult> {
    const { defaultProvider, fallbacks, record } = this.#options;
    const [first, ...others] = routesOf(params, defaultProvider, fallbacks ?? []);
    const end = await this.#tryRoute(first, params, control);
    if (end.kind === 'succeeded') return end.result;
    let { error, wasAsked } = end;
    for (const route of end.isFinal ? [] : others) {
      const other = await this.#tryRoute(route, params, control);
      if (other.kind === 'succeeded') return { ...other.result, fallback: route };
      wasAsked ||= other.wasAsked;
      if (!control.signal.aborted && !other.isFinal) continue;
      // What was begun cannot be taken back: its end is the caller's.
      error = other.error;
      break;
    }
    if (!wasAsked) {
      const { caller = {} } = control;
      record(unaskedEvent({ caller, provider: first.provider, keyId: null, model: first.model }, end.error));
    }
    throw error;
  }

  async #tryRoute(route: Route, params: CompletionParams, control: CompleteControl): Promise<RouteEnd> {
    const { providers, clock, retry, defaultProvider } = this.#options;
    const tried = new Set<string>();
    let last: FailedCompletion | undefined;
    let failures = 0;
    try {
      const provider = providers.find(route.provider);
      if (!provider) throw unknownProvider(route.provider, providers.names(), defaultProvider);
      const start = clock.monotonic();
      for (;;) {
        const lease = await this.#lease(route, params, tried, start, control.signal);
        const outcome = await this.#attempt(provider, lease, { ...params, ...route }, control);
        if (outcome.kind === 'succeeded') return { kind: 'succeeded', result: outcome.result };
        last = outcome;
        const step = nextStep(outcome, route.provider, route.model, clock.now());
        if (step === 'another-key' && lease.keyId !== null) tried.add(lease.keyId);
        else if (step === 'again') {
          failures += 1;
          const ownMs = retry ? backoffMs(retry.backoff, failures, retry.chance) : 0;
          const waitMs = Math.max(ownMs, askedWaitMs(outcome.settlement, clock.now()));
          const isLate = clock.monotonic() - start + waitMs > provider.timeoutMs;
          if (!retry || failures >= retry.attempts || isLate)
            return { kind: 'failed', error: outcome.error, isFinal: false, wasAsked: true };
          await delay(clock, waitMs, control.signal);
        } else return { kind: 'failed', error: outcome.error, isFinal: step === 'give-up', wasAsked: true };
      }
    } catch (error) {
      if (!(error instanceof AipassError)) throw error;
      return {
        kind: 'failed',
        error: last ? joinErrors(error, last.error) : error,
        isFinal: error.code === 'CANCELLED',
        wasAsked: last !== undefined,
      };
    }
  }

  /** Leases a key that was not tried yet; where none is left, waits for any as long as the caller has time. */
  async #lease(
    { provider, model }: Route,
    params: CompletionParams,
    tried: Set<string>,
    start: number,
    signal: AbortSignal,
  ): Promise<KeyLease> {
    const { keys, clock } = this.#options;
    try {
      return keys.lease({ provider, model, exclude: tried });
    } catch (error) {
      if (!keys.acquire) throw error;
      // Whoever was tried rests now; when its rest is over, which may be already, it may serve again.
      if (params.maxWaitMs !== undefined && params.maxWaitMs > 0) tried.clear();
      const wait = { maxWaitMs: params.maxWaitMs, spentMs: clock.monotonic() - start, signal };
      const lease = await keys.acquire({ provider, model, exclude: tried }, wait);
      tried.clear();
      return lease;
    }
  }

  async #attempt(
    provider: Provider,
    lease: KeyLease,
    params: CompletionParams,
    control: CompleteControl,
  ): Promise<CompletionOutcome> {
    const { redactor, clock, record } = this.#options;
    let settlement: LeaseOutcome = { kind: 'cancelled' };
    try {
      const { caller = {}, ...rest } = control;
      const outcome = await attemptCompletion({ provider, lease, params, ...rest, redactor, clock });
      settlement = outcome.settlement;
      record(attemptEvent({ caller, provider: provider.name, keyId: lease.keyId, model: params.model }, outcome));
      return outcome;
    } finally {
      lease.settle(settlement);
    }
  }
}

/**
 * Returns the error of a route whose keys ran out after some were refused: that none is free and when the first will be;
 * where nobody knows when, what the last one was refused with.
 */
function joinErrors(noKey: AipassError, last: AipassError): AipassError {
  if (noKey.code === 'CANCELLED') return noKey;
  if (noKey.retryAfterMs === undefined) return last;
  return new AipassError(noKey.code, `${noKey.message}; the last answer: ${last.message}`, {
    hint: last.hint ?? noKey.hint,
    retryAfterMs: noKey.retryAfterMs,
  });
}
