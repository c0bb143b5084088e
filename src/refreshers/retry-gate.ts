/**
 * Decides when a failing account may be tried again. Either clock may open the gate: the wall clock
 * after a sleep, the monotonic one after the wall clock was set back.
 */

import { backoffMs } from '../base/backoff.ts';
import type { Clock } from '../base/clock.ts';
import { MAX_STEP_MS } from '../base/timers.ts';

/** Shortest wait after a failure, in milliseconds. */
const MIN_BACKOFF_MS = 2_000;

/** Longest wait that is not asked for by the server, in milliseconds. */
export const MAX_BACKOFF_MS = 5 * 60_000;

/** Longest wait that a server may ask for, in milliseconds: a day may be a mistake. */
const MAX_SERVER_WAIT_MS = 3_600_000;

/** Full jitter between 2 s and a limit that doubles with each failure, from 4 s up to 5 min. */
const BACKOFF = { firstMs: 2 * MIN_BACKOFF_MS, maxMs: MAX_BACKOFF_MS, minMs: MIN_BACKOFF_MS, jitter: 1 } as const;

/** Counts failures, and waits between tries. */
export class RetryGate {
  readonly #clock: Clock;
  readonly #random: () => number;
  #failures = 0;
  #failedAt = { wall: 0, monotonic: 0 };
  #waitMs = 0;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, random: () => number) {
    this.#clock = clock;
    this.#random = random;
  }

  get failures(): number {
    return this.#failures;
  }

  /** Time of the next try, in epoch milliseconds, or null where nothing failed. */
  get nextAt(): number | null {
    return this.#failures === 0 ? null : this.#failedAt.wall + this.#waitMs;
  }

  /** Returns how long the next try has to wait, in milliseconds; 0 when it need not. */
  remaining(): number {
    return this.#failures === 0 ? 0 : Math.max(0, this.#waitMs - this.#elapsed());
  }

  /** Returns whether the last try is long enough ago for one more that a caller waits for. */
  allowsUrgent(): boolean {
    return this.#failures === 0 || this.#elapsed() >= MIN_BACKOFF_MS;
  }

  /**
   * Counts a failure, and calls `retry` once when the wait is over. `latestMs` bounds the back-off,
   * not what the server asks for. With the life of the held token, a provider that refuses early
   * refreshes is asked again when that ends.
   */
  fail(retryAfterMs: number | undefined, retry: () => void, latestMs = Number.POSITIVE_INFINITY): void {
    this.#failures += 1;
    this.#failedAt = { wall: this.#clock.now(), monotonic: this.#clock.monotonic() };
    const own = Math.min(backoffMs(BACKOFF, this.#failures, this.#random), latestMs);
    this.#waitMs = Math.max(MIN_BACKOFF_MS, own, Math.min(retryAfterMs ?? 0, MAX_SERVER_WAIT_MS));
    this.#watch(retry);
  }

  reset(): void {
    this.#failures = 0;
    this.stop();
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #watch(retry: () => void): void {
    this.#cancel?.();
    this.#cancel = this.#clock.after(Math.min(MAX_STEP_MS, Math.max(1, this.remaining())), () => {
      if (this.remaining() > 0) this.#watch(retry);
      else {
        this.#cancel = undefined;
        retry();
      }
    });
  }

  #elapsed(): number {
    const wall = this.#clock.now() - this.#failedAt.wall;
    return Math.max(wall, this.#clock.monotonic() - this.#failedAt.monotonic);
  }
}

/** Most forced refreshes in a row, and the time that earns one more, in milliseconds. */
const FORCED_AT_ONCE = 3;
const FORCED_EVERY_MS = 60_000;

/** Budget of refreshes that callers force, so that none uses up a provider's patience. */
export class ForcedRefreshBudget {
  readonly #clock: Clock;
  #left = FORCED_AT_ONCE;
  #countedAt: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#countedAt = clock.monotonic();
  }

  /** Takes one refresh from the budget; returns whether there was one left. */
  take(): boolean {
    const now = this.#clock.monotonic();
    const earned = Math.floor((now - this.#countedAt) / FORCED_EVERY_MS);
    this.#left = Math.min(FORCED_AT_ONCE, this.#left + earned);
    this.#countedAt += earned * FORCED_EVERY_MS;
    if (this.#left === 0) return false;
    this.#left -= 1;
    return true;
  }
}
