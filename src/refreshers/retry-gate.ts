/**
 * Says when a failing account may be tried again. Either clock may open the gate: the wall clock after a sleep, the
 * monotonic one after the wall clock was set back.
 */

import type { Clock } from '../base/clock.ts';
import { backoff, MIN_BACKOFF_MS } from './backoff.ts';

/** Is the longest wait without a look at the clocks, in milliseconds: timers stand still while a machine sleeps. */
const MAX_STEP_MS = 30_000;

/** Counts failures and waits between tries. */
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

  /** Returns the failures since the last success. */
  get failures(): number {
    return this.#failures;
  }

  /** Returns when the next try is planned, in epoch milliseconds, or null where nothing failed. */
  get nextAt(): number | null {
    return this.#failures === 0 ? null : this.#failedAt.wall + this.#waitMs;
  }

  /** Returns how long the next try has to wait, in milliseconds; 0 when it need not. */
  remaining(): number {
    return this.#failures === 0 ? 0 : Math.max(0, this.#waitMs - this.#elapsed());
  }

  /** Tells whether the last try is long enough ago for one more that somebody is waiting for. */
  allowsUrgent(): boolean {
    return this.#failures === 0 || this.#elapsed() >= MIN_BACKOFF_MS;
  }

  /** Notes a failure and calls `retry` once when the wait is over. */
  fail(retryAfterMs: number | undefined, retry: () => void): void {
    this.#failures += 1;
    this.#failedAt = { wall: this.#clock.now(), monotonic: this.#clock.monotonic() };
    this.#waitMs = backoff(this.#failures, this.#random(), retryAfterMs);
    this.#watch(retry);
  }

  /** Forgets all failures. */
  reset(): void {
    this.#failures = 0;
    this.stop();
  }

  /** Calls nobody back any more. */
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
