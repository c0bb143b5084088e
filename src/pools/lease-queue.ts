/**
 * Callers that wait for a key, first come first served. A waiter leaves with a lease, when its time is up, when its
 * caller ends it, or when the daemon stops: never without an answer.
 */

import type { Clock } from '../base/clock.ts';
import { AipassError } from '../base/errors.ts';
import type { KeyLease } from './lease.ts';

/** Is the longest wait of one timer, in milliseconds: machines sleep, so clocks are looked at again. */
const LONGEST_WAIT_MS = 30_000;

interface Waiter {
  readonly model: string | undefined;
  /** Takes a lease, or throws why there is none. */
  readonly attempt: () => KeyLease;
  readonly resolve: (lease: KeyLease) => void;
  readonly reject: (error: unknown) => void;
  readonly leave: () => void;
}

/** Holds the waiters of one pool. */
export class LeaseQueue {
  readonly #clock: Clock;
  readonly #waiters = new Set<Waiter>();
  #isServing = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Is how many callers wait. */
  get size(): number {
    return this.#waiters.size;
  }

  /** Waits for a lease; rejects with the last reason why there is none when the time is up, CANCELLED when `signal` aborts. */
  wait(model: string | undefined, attempt: () => KeyLease, maxWaitMs: number, signal?: AbortSignal): Promise<KeyLease> {
    if (signal?.aborted) return Promise.reject(cancelled());
    return new Promise((resolve, reject) => {
      const deadline = this.#clock.monotonic() + maxWaitMs;
      let cancelTimer: (() => void) | undefined;
      const onAbort = (): void => {
        waiter.leave();
        reject(cancelled());
      };
      const waiter: Waiter = {
        model,
        attempt,
        resolve,
        reject,
        leave: () => {
          this.#waiters.delete(waiter);
          cancelTimer?.();
          signal?.removeEventListener('abort', onAbort);
        },
      };
      const look = (): void => {
        const leftMs = deadline - this.#clock.monotonic();
        if (leftMs > 0) cancelTimer = this.#clock.after(Math.min(leftMs, LONGEST_WAIT_MS), look);
        else this.#try(waiter, true);
      };
      this.#waiters.add(waiter);
      signal?.addEventListener('abort', onAbort);
      look();
      this.serve();
    });
  }

  /** Serves whom it can. Of waiters that want the same, the first that gets nothing speaks for the others. */
  serve(): void {
    // Serving takes leases, which calls back here.
    if (this.#isServing || this.#waiters.size === 0) return;
    this.#isServing = true;
    const failed = new Set<string | undefined>();
    for (const waiter of this.#waiters) {
      if (!failed.has(waiter.model) && !this.#try(waiter, false)) failed.add(waiter.model);
    }
    this.#isServing = false;
  }

  /** Ends every wait. */
  stop(): void {
    for (const waiter of this.#waiters) {
      waiter.leave();
      waiter.reject(cancelled());
    }
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

/** Tells whether a key may come free later. */
export function isWorthWaiting(error: unknown): boolean {
  return error instanceof AipassError && (error.code === 'POOL_EXHAUSTED' || error.code === 'PROVIDER_UNAVAILABLE');
}

function cancelled(): AipassError {
  return new AipassError('CANCELLED', 'the wait for a key was ended');
}
