/**
 * A circuit breaker: closed → open (cooling down) → half-open → closed. One for each thing that
 * cools down: a key, a billing account, a model of an account, a provider. Owns these rules. A
 * cooldown always ends. One call alone is the probe after it. Only a call that began after the
 * cooldown can change it.
 *
 * Calls are identified by their lease number, which grows. Of 32 calls in flight that all meet the
 * limit, the first counts. The others can only lengthen the cooldown.
 */

import { backoffMs, type Backoff, type Random } from '../base/backoff.ts';
import type { BreakerState, CooldownInfo } from '../protocol/pool.ts';
import { MAX_DAILY_COOLDOWN_MS } from '../providers/classify-failure.ts';
import type { SavedBreaker } from './pool-state.ts';

/** Default cooldown of a limited key: 1 s, doubling to 5 min. */
const DEFAULT_COOLDOWN: Backoff = { firstMs: 1000, maxMs: 300_000, jitter: 0.2 };

/**
 * Time for which a probe keeps all other calls away, in milliseconds. Its holder may never settle
 * it, and one call a minute does not crowd a provider.
 */
const PROBE_LIMIT_MS = 60_000;

export interface Trip extends Pick<CooldownInfo, 'scope' | 'reason' | 'source'> {
  /** Length, already bounded; null for the doubling default. */
  readonly cooldownMs: number | null;
  /** Longest that `cooldownMs` was allowed to be. */
  readonly boundMs: number;
  readonly model?: string | undefined;
  /** True where the key is checked before its next call. */
  readonly thenCheck: boolean;
}

export interface Cooldown extends CooldownInfo {
  readonly thenCheck: boolean;
}

export class CircuitBreaker {
  #state: BreakerState = 'closed';
  #cooldown: Cooldown | null = null;
  #failures = 0;
  /** Newest lease when the last cooldown began: leases up to it began before. */
  #since = 0;
  #probe: { readonly lease: number; readonly until: number } | null = null;

  get state(): BreakerState {
    return this.#state;
  }

  /** Cooldown under way or, half-open, the last one; null when closed. */
  get cooldown(): Cooldown | null {
    return this.#cooldown;
  }

  /** True where a call may start: closed, or half-open without a probe under way. */
  get isFree(): boolean {
    return this.#state === 'closed' || (this.#state === 'half-open' && this.#probe === null);
  }

  /**
   * Time at which `wake` changes something, in epoch milliseconds; infinite where nothing is due.
   */
  get dueAt(): number {
    if (this.#probe) return this.#probe.until;
    return this.#state === 'open' ? (this.#cooldown?.until ?? Number.POSITIVE_INFINITY) : Number.POSITIVE_INFINITY;
  }

  /** Registers a lease, which is the probe if the breaker is half-open. */
  take(lease: number, now: number): void {
    if (this.#state === 'half-open') this.#probe = { lease, until: now + PROBE_LIMIT_MS };
  }

  /** Ends the probe of a lease, if it is one. */
  giveBack(lease: number): void {
    if (this.#probe?.lease === lease) this.#probe = null;
  }

  /**
   * Returns true where a lease began before the last cooldown, so that its failure is the one
   * already counted.
   */
  isStale(lease: number): boolean {
    return lease <= this.#since;
  }

  /**
   * Begins or lengthens a cooldown; `newest` is the newest lease handed out. Returns the cooldown,
   * or null where this failure changed nothing.
   */
  trip(lease: number, newest: number, trip: Trip, now: number, random: Random): Cooldown | null {
    const isStale = this.isStale(lease);
    if (isStale && trip.cooldownMs === null) return null;
    if (!isStale) this.#failures += 1;
    const cooldownMs = trip.cooldownMs ?? backoffMs(DEFAULT_COOLDOWN, this.#failures, random);
    const until = now + Math.max(1, Math.min(cooldownMs, trip.boundMs));
    if (this.#cooldown && this.#state === 'open' && this.#cooldown.until >= until) return null;
    const { scope, reason, source, model, thenCheck } = trip;
    this.#cooldown = {
      scope,
      reason,
      source,
      since: now,
      until,
      bound: now + trip.boundMs,
      ...(model === undefined ? {} : { model }),
      thenCheck,
    };
    this.#state = 'open';
    this.#since = newest;
    this.#probe = null;
    return this.#cooldown;
  }

  /**
   * Half-opens the breaker when the cooldown is over, and gives up a probe that took too long.
   * Returns whether anything changed.
   */
  wake(now: number): boolean {
    if (this.dueAt > now) return false;
    if (this.#probe) this.#probe = null;
    else this.#state = 'half-open';
    return true;
  }

  /** Extends the cooldown to a time, so that a check can answer before it ends. */
  awaitCheck(until: number): void {
    const cooldown = this.#cooldown;
    if (cooldown) this.#cooldown = { ...cooldown, until, bound: Math.max(until, cooldown.bound), thenCheck: false };
  }

  /** Half-opens the breaker at once: the next call is the probe. */
  halfOpen(): void {
    this.#state = 'half-open';
    this.#probe = null;
  }

  /**
   * Registers a success; that of a lease from before the cooldown proves nothing. Returns whether
   * it closed a half-open breaker.
   */
  succeed(lease: number): boolean {
    if (this.#state === 'open' || this.isStale(lease)) return false;
    const isRestored = this.#state === 'half-open';
    this.close();
    return isRestored;
  }

  /** Closes the breaker and forgets its failures. */
  close(): void {
    this.#state = 'closed';
    this.#cooldown = null;
    this.#failures = 0;
    this.#probe = null;
  }

  /** Moves its times, after the wall clock was set back. */
  shift(ms: number): void {
    const cooldown = this.#cooldown;
    if (cooldown) {
      const { since, until, bound } = cooldown;
      this.#cooldown = { ...cooldown, since: since + ms, until: until + ms, bound: bound + ms };
    }
    if (this.#probe) this.#probe = { ...this.#probe, until: this.#probe.until + ms };
  }

  /** Returns the saved form, or null when closed. */
  save(): SavedBreaker | null {
    return this.#cooldown && { cooldown: this.#cooldown, failures: this.#failures };
  }

  /**
   * Restores the saved form. A cooldown that has more left than it ever lasted was saved before the
   * clock was set back, and begins anew.
   */
  restore(saved: SavedBreaker, now: number): void {
    const { since, until: savedUntil, bound } = saved.cooldown;
    const until = Math.min(savedUntil, now + Math.min(MAX_DAILY_COOLDOWN_MS, savedUntil - since));
    this.#cooldown = {
      ...saved.cooldown,
      since: Math.min(since, now),
      until,
      bound: Math.max(until, Math.min(bound, now + MAX_DAILY_COOLDOWN_MS)),
    };
    this.#failures = saved.failures;
    this.#state = 'open';
    this.wake(now);
  }
}
