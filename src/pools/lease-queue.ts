/**
 * Callers that wait for a key. Callers take turns, each with its oldest request first, so that one with many requests
 * keeps nobody out. A request leaves with a lease, when its time is up, when its caller ends it, or when the daemon
 * stops: never without an answer.
 */

import type { Clock } from '../base/clock.ts';
import { AipassError } from '../base/errors.ts';
import { MAX_STEP_MS } from '../base/timers.ts';
import type { KeyLease } from './lease.ts';

/** What a waiting request wants. */
export interface Wanted {
  readonly model: string | undefined;
  readonly caller: string | undefined;
  /** Takes a lease, or throws why there is none. */
  readonly attempt: () => KeyLease;
}

interface Waiter extends Wanted {
  readonly resolve: (lease: KeyLease) => void;
  readonly reject: (error: unknown) => void;
  readonly leave: () => void;
}

/** Waiting requests of one pool. */
export class LeaseQueue {
  readonly #clock: Clock;
  /** Waiters by caller; the caller whose turn it is comes first. */
  readonly #byCaller = new Map<string, Set<Waiter>>();
  #size = 0;
  #isServing = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Number of waiting requests. */
  get size(): number {
    return this.#size;
  }

  /** Waits for a lease; rejects with the last reason why there is none when the time is up, CANCELLED when `signal` aborts. */
  wait(wanted: Wanted, maxWaitMs: number, signal?: AbortSignal): Promise<KeyLease> {
    if (signal?.aborted) return Promise.reject(cancelled());
    return new Promise((resolve, reject) => {
      const deadline = this.#clock.monotonic() + maxWaitMs;
      let cancelTimer: (() => void) | undefined;
      const onAbort = (): void => {
        waiter.leave();
        reject(cancelled());
      };
      const waiter: Waiter = {
        ...wanted,
        resolve,
        reject,
        leave: () => {
          this.#remove(waiter);
          cancelTimer?.();
          signal?.removeEventListener('abort', onAbort);
        },
      };
      const poll = (): void => {
        const leftMs = deadline - this.#clock.monotonic();
        if (leftMs > 0) cancelTimer = this.#clock.after(Math.min(leftMs, MAX_STEP_MS), poll);
        else this.#try(waiter, true);
      };
      this.#add(waiter);
      signal?.addEventListener('abort', onAbort);
      poll();
      this.serve();
    });
  }

  /** Serves as many requests as it can. Of those that want the same, the first that gets nothing stands for the others. */
  serve(): void {
    // Serving takes leases, which calls back here.
    if (this.#isServing || this.#size === 0) return;
    this.#isServing = true;
    const failed = new Set<string>();
    for (let isServed = true; isServed;) {
      isServed = false;
      for (const [caller, waiters] of this.#byCaller) {
        const waiter = firstOf(waiters, ({ model }) => !failed.has(kindOf(caller, model)));
        if (!waiter) continue;
        isServed = true;
        if (!this.#try(waiter, false)) failed.add(kindOf(caller, waiter.model));
        else this.#moveToEnd(caller);
      }
    }
    this.#isServing = false;
  }

  /** Ends every wait. */
  stop(): void {
    for (const waiters of this.#byCaller.values()) {
      for (const waiter of waiters) {
        waiter.leave();
        waiter.reject(cancelled());
      }
    }
  }

  #add(waiter: Waiter): void {
    const caller = waiter.caller ?? '';
    const waiters = this.#byCaller.get(caller) ?? new Set();
    this.#byCaller.set(caller, waiters.add(waiter));
    this.#size += 1;
  }

  #remove(waiter: Waiter): void {
    const caller = waiter.caller ?? '';
    const waiters = this.#byCaller.get(caller);
    if (waiters?.delete(waiter) !== true) return;
    this.#size -= 1;
    if (waiters.size === 0) this.#byCaller.delete(caller);
  }

  #moveToEnd(caller: string): void {
    const waiters = this.#byCaller.get(caller);
    if (!waiters) return;
    this.#byCaller.delete(caller);
    this.#byCaller.set(caller, waiters);
  }

  #try(waiter: Waiter, isLast: boolean): boolean {
    try {
      const lease = waiter.attempt();
      waiter.leave();
      waiter.resolve(lease);
      return true;
    } catch (error) {
      const isOver = isLast || !isWorthWaiting(error);
      if (isOver) {
        waiter.leave();
        waiter.reject(error);
      }
      return isOver;
    }
  }
}

function firstOf<T>(values: Iterable<T>, matches: (value: T) => boolean): T | undefined {
  for (const value of values) if (matches(value)) return value;
  return undefined;
}

function kindOf(caller: string, model: string | undefined): string {
  return JSON.stringify([caller, model]);
}

/** Returns whether a key may come free later. */
export function isWorthWaiting(error: unknown): boolean {
  return error instanceof AipassError && (error.code === 'POOL_EXHAUSTED' || error.code === 'PROVIDER_UNAVAILABLE');
}

function cancelled(): AipassError {
  return new AipassError('CANCELLED', 'the wait for a key was ended');
}
