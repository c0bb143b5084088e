/**
 * Debounces events: one call after a quiet moment, at the latest a fixed time after the first event.
 */

import type { Clock } from '../base/clock.ts';

/** Waiting times, in milliseconds. */
export interface DebounceTimes {
  readonly quietMs: number;
  readonly limitMs: number;
}

/** Debouncer with an upper limit. */
export class Debouncer {
  readonly #clock: Clock;
  readonly #times: DebounceTimes;
  readonly #callback: () => void;
  #firstAt: number | undefined;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, times: DebounceTimes, callback: () => void) {
    this.#clock = clock;
    this.#times = times;
    this.#callback = callback;
  }

  /** Reports an event. */
  trigger(): void {
    const now = this.#clock.monotonic();
    this.#firstAt ??= now;
    this.#cancel?.();
    const delayMs = Math.max(0, Math.min(this.#times.quietMs, this.#firstAt + this.#times.limitMs - now));
    this.#cancel = this.#clock.after(delayMs, () => {
      this.stop();
      this.#callback();
    });
  }

  /** Drops pending events. */
  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#firstAt = undefined;
  }
}
