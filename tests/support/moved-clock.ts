/**
 * A clock that stands still until a test moves it. Timers fire in the order of their times while it moves.
 */

import type { Clock } from '../../src/base/clock.ts';

interface Timer {
  readonly at: number;
  readonly callback: () => void;
}

/** Is a clock whose time only a test moves. */
export class MovedClock implements Clock {
  #wall: number;
  #monotonic = 1000;
  readonly #timers = new Set<Timer>();

  constructor(wall: number | string = '2026-06-15T12:00:00Z') {
    this.#wall = typeof wall === 'number' ? wall : Date.parse(wall);
  }

  /** Is how many timers wait. */
  get timers(): number {
    return this.#timers.size;
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
    return () => this.#timers.delete(timer);
  }

  /** Lets time pass, firing each timer at its time. */
  advance(ms: number): void {
    const end = this.#monotonic + ms;
    for (;;) {
      const [next] = [...this.#timers].filter((timer) => timer.at <= end).toSorted((a, b) => a.at - b.at);
      if (!next) break;
      this.#timers.delete(next);
      this.#pass(Math.max(0, next.at - this.#monotonic));
      next.callback();
    }
    this.#pass(end - this.#monotonic);
  }

  /** Sets the wall clock without time passing, as an administrator or a time server does. */
  jump(ms: number): void {
    this.#wall += ms;
  }

  #pass(ms: number): void {
    this.#wall += ms;
    this.#monotonic += ms;
  }
}
