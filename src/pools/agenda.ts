/**
 * What happens when, in one pool: a heap of due times and one timer for the first of them.
 *
 * No wait is longer than 30 s without a look at the wall clock, because machines sleep. When the wall clock is set back,
 * everything is moved with it, so that nothing rests for as long as the clock jumped.
 */

import type { Clock } from '../base/clock.ts';
import { DueHeap } from './due-heap.ts';

/** Is the longest wait of the timer, in milliseconds. */
const LONGEST_WAIT_MS = 30_000;

/** Is how far wall time may fall behind the monotonic clock at once before it counts as set back, in milliseconds. */
const SET_BACK_MS = 1000;

/** Is what the owner of an agenda does. */
export interface AgendaHandlers<T> {
  readonly due: (value: T, now: number) => void;
  /** Moves every time that it holds by `ms`, which is below zero. */
  readonly setBack: (ms: number) => void;
}

/** Keeps what is due. */
export class Agenda<T> {
  readonly #clock: Clock;
  readonly #handlers: AgendaHandlers<T>;
  readonly #heap = new DueHeap<T>();
  #last: { readonly wall: number; readonly monotonic: number } | undefined;
  #timer: { readonly at: number; readonly cancel: () => void } | undefined;
  #isStopped = false;

  constructor(clock: Clock, handlers: AgendaHandlers<T>) {
    this.#clock = clock;
    this.#handlers = handlers;
  }

  /** Adds something that is due at a wall time. */
  add(at: number, value: T): void {
    this.#heap.push(at, value);
    this.#arm();
  }

  /** Hands out everything that is due, and returns wall time. */
  advance(): number {
    const wall = this.#clock.now();
    const monotonic = this.#clock.monotonic();
    const gained = this.#last ? wall - this.#last.wall - (monotonic - this.#last.monotonic) : 0;
    this.#last = { wall, monotonic };
    if (gained < -SET_BACK_MS) {
      this.#heap.shift(gained);
      this.#handlers.setBack(gained);
      this.#timer?.cancel();
      this.#timer = undefined;
    }
    for (let value = this.#heap.popDue(wall); value !== undefined; value = this.#heap.popDue(wall)) {
      this.#handlers.due(value, wall);
    }
    this.#arm();
    return wall;
  }

  /** Takes the timer back; nothing is handed out by itself any more. */
  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #arm(): void {
    const next = this.#heap.nextAt;
    if (next === undefined || this.#isStopped || (this.#timer && this.#timer.at <= next)) return;
    this.#timer?.cancel();
    const now = this.#clock.now();
    const waitMs = Math.min(LONGEST_WAIT_MS, Math.max(1, next - now));
    const cancel = this.#clock.after(waitMs, () => {
      this.#timer = undefined;
      this.advance();
    });
    this.#timer = { at: now + waitMs, cancel };
  }
}
