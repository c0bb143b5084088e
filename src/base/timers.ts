/**
 * Waits on the injected clock: to a wall time, again and again, for quiet, for a while, or for work
 * up to a limit. Runs on Node 20.16 for the client.
 *
 * A timer stands still while a machine sleeps. So no wait for a wall time is longer than 30 s
 * without reading the wall clock again.
 */

import type { Clock } from './clock.ts';

/** Longest wait without reading the wall clock again, in milliseconds. */
export const MAX_STEP_MS = 30_000;

/** Calls back once when the wall clock has reached a time; the returned function cancels that. */
export function wakeAt(clock: Pick<Clock, 'now' | 'after'>, time: number, callback: () => void): () => void {
  let cancel: () => void;
  const step = (): void => {
    cancel = clock.after(Math.min(MAX_STEP_MS, Math.max(1, time - clock.now())), () => {
      if (clock.now() >= time) callback();
      else step();
    });
  };
  step();
  return () => cancel();
}

/**
 * Does some work every `everyMs` milliseconds, counted from the end of the work before: it never
 * overlaps itself. A failure of the work is a defect: it is thrown as unhandled, and the work is
 * repeated all the same.
 *
 * @returns the function that ends the repetition; it resolves when work that is under way has
 * ended.
 */
export function repeat(
  clock: Pick<Clock, 'after'>,
  everyMs: number,
  work: () => Promise<void> | void,
): () => Promise<void> {
  let cancel: (() => void) | undefined;
  let isStopped = false;
  let running: Promise<void> | undefined;
  const schedule = (): void => {
    running = undefined;
    if (!isStopped) cancel = clock.after(everyMs, run);
  };
  const run = (): void => {
    let isUnderWay = false;
    try {
      const result = work();
      if (result instanceof Promise) {
        isUnderWay = true;
        running = result.finally(schedule);
      }
    } finally {
      if (!isUnderWay) schedule();
    }
  };
  schedule();
  return async () => {
    isStopped = true;
    cancel?.();
    await running?.catch(() => {});
  };
}

/** Waiting times of a debouncer, in milliseconds. */
export interface DebounceTimes {
  readonly quietMs: number;
  readonly limitMs: number;
}

/** Calls once after a quiet moment, at the latest a fixed time after the first event. */
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

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#firstAt = undefined;
  }
}

/** Resolves after a time in milliseconds, or as soon as the signal aborts. Never rejects. */
export function delay(clock: Pick<Clock, 'after'>, ms: number, signal?: AbortSignal): Promise<'elapsed' | 'aborted'> {
  if (signal?.aborted === true) return Promise.resolve('aborted');
  if (ms <= 0) return Promise.resolve('elapsed');
  return new Promise((resolve) => {
    const onAbort = (): void => {
      cancel();
      resolve('aborted');
    };
    const cancel = clock.after(ms, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve('elapsed');
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/**
 * Settles as the work does, or with what `onTimeout` returns or throws once a limit in milliseconds
 * has passed. The work itself goes on; a later failure of it is dropped.
 */
export async function withTimeout<T, U>(
  clock: Pick<Clock, 'after'>,
  limitMs: number,
  work: Promise<T>,
  onTimeout: () => U,
): Promise<T | U> {
  let cancel: (() => void) | undefined;
  const limit = new Promise<void>((resolve) => {
    cancel = clock.after(limitMs, resolve);
  });
  try {
    return await Promise.race([work, limit.then(onTimeout)]);
  } finally {
    cancel?.();
  }
}
