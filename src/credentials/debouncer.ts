/**
 * Turns a burst of events into one call: after a quiet moment, and never later than a limit after the first of them.
 */

import type { Clock } from '../base/clock.ts';

/** Says how long to wait, in milliseconds. */
export interface DebounceTimes {
  readonly quietMs: number;
  readonly limitMs: number;
}

/** Calls back once for each burst of pokes. */
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

  /** Notes an event. */
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

  /** Forgets the events that were not called for yet. */
  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#firstAt = undefined;
  }
}
