/**
 * A clock that tests move by hand: wall and monotonic time together, or the wall clock alone.
 */

import type { Clock } from '../../src/base/clock.ts';

interface Timer {
  readonly at: number;
  readonly callback: () => void;
}

/** Clock that stands still until a test moves it. */
export class ManualClock implements Clock {
  #wall: number;
  #monotonic = 1000;
  readonly #timers = new Set<Timer>();
  #started = 0;

  constructor(wall: number | string = '2026-03-01T12:00:00Z') {
    this.#wall = typeof wall === 'number' ? wall : Date.parse(wall);
  }

  now(): number {
    return this.#wall;
  }

  monotonic(): number {
    return this.#monotonic;
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = { at: this.#monotonic + delayMs, callback };
    this.#timers.add(timer);
    this.#started += 1;
    return () => this.#timers.delete(timer);
  }

  /** Returns the delays of the timers that wait, in milliseconds. */
  get waits(): number[] {
    return [...this.#timers].map((timer) => timer.at - this.#monotonic);
  }

  /** Number of timers that were ever started. */
  get started(): number {
    return this.#started;
  }

  /** Lets time pass, and every timer fire at its moment. */
  advance(ms: number): void {
    const end = this.#monotonic + ms;
    for (;;) {
      const next = [...this.#timers].filter((timer) => timer.at <= end).toSorted((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      // A callback may have set a timer for a moment that is over.
      this.#move(Math.max(0, next.at - this.#monotonic));
      this.#timers.delete(next);
      next.callback();
    }
    this.#move(end - this.#monotonic);
  }

  /** Sets the wall clock by hand: no time passes. */
  jump(ms: number): void {
    this.#wall += ms;
  }

  /** Sleeps as a machine does: wall time passes, the monotonic clock and the timers stand still. */
  suspend(ms: number): void {
    this.#wall += ms;
  }

  #move(ms: number): void {
    this.#wall += ms;
    this.#monotonic += ms;
  }
}
