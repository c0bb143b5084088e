/**
 * A clock whose hands the test moves.
 */

import type { Clock } from '../../../src/base/clock.ts';

/** Counts time only when it is told to. */
export class HandClock implements Clock {
  #now = Date.UTC(2026, 0, 1);
  #started = 0;
  readonly #timers = new Set<{ readonly at: number; readonly callback: () => void }>();

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#now;
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = { at: this.#now + delayMs, callback };
    this.#timers.add(timer);
    this.#started += 1;
    return () => this.#timers.delete(timer);
  }

  /** Returns how many timers are running. */
  get running(): number {
    return this.#timers.size;
  }

  /** Returns how many timers were ever started. */
  get started(): number {
    return this.#started;
  }

  /** Moves time on, and runs what is due. */
  advance(ms: number): void {
    this.#now += ms;
    for (const timer of this.#timers) {
      if (timer.at > this.#now) continue;
      this.#timers.delete(timer);
      timer.callback();
    }
  }
}
