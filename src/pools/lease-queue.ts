/**
 * Callers that wait for a key. Users take turns, and the programs of a user among themselves, each with its oldest request
 * first, so that one with many requests keeps no other out. A request leaves with a lease, when its time is up, when its caller ends it, or when the daemon
 * stops: never without an answer.
 */

import type { Clock } from '../base/clock.ts';
import { AipassError } from '../base/errors.ts';
import { MAX_STEP_MS } from '../base/timers.ts';
import type { KeyLease } from './lease.ts';

/** What a waiting request wants. */
export interface Wanted {
  readonly model: string | undefined;
  /** User and program that ask; see LeaseRequest. */
  readonly caller?: string | undefined;
  readonly program?: string | undefined;
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
  /** Waiters by user and program; those whose turn it is come first. */
  readonly #byUser = new Map<string, Map<string, Set<Waiter>>>();
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
      for (const programs of this.#byUser.values()) {
        const waiter = firstOf(programs.values(), (waiters) =>
          firstOf(waiters, (one) => !failed.has(kindOf(one)) && one),
        );
        if (!waiter) continue;
        isServed = true;
        if (!this.#try(waiter, false)) failed.add(kindOf(waiter));
        else this.#endTurn(waiter);
      }
    }
    this.#isServing = false;
  }

  /** Ends every wait. */
  stop(): void {
    for (const programs of this.#byUser.values()) {
      for (const waiters of programs.values()) {
        for (const waiter of waiters) {
          waiter.leave();
          waiter.reject(cancelled());
        }
      }
    }
  }

  #add(waiter: Waiter): void {
    const { caller = '', program = '' } = waiter;
    const programs = this.#byUser.get(caller) ?? new Map<string, Set<Waiter>>();
    programs.set(program, (programs.get(program) ?? new Set<Waiter>()).add(waiter));
    this.#byUser.set(caller, programs);
    this.#size += 1;
  }

  #remove(waiter: Waiter): void {
    const { caller = '', program = '' } = waiter;
    const programs = this.#byUser.get(caller);
    const waiters = programs?.get(program);
    if (!programs || waiters?.delete(waiter) !== true) return;
    this.#size -= 1;
    if (waiters.size === 0) programs.delete(program);
    if (programs.size === 0) this.#byUser.delete(caller);
  }

  /** Puts a user, and its program, behind the others. */
  #endTurn({ caller = '', program = '' }: Wanted): void {
    const programs = this.#byUser.get(caller);
    if (!programs) return;
    moveToEnd(this.#byUser, caller);
    moveToEnd(programs, program);
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

/** Returns the first result that is there. */
function firstOf<Value, Result>(
  values: Iterable<Value>,
  find: (value: Value) => Result | false | undefined,
): Result | undefined {
  for (const value of values) {
    const result = find(value);
    if (result !== undefined && result !== false) return result;
  }
  return undefined;
}

function moveToEnd<Key, Value>(map: Map<Key, Value>, key: Key): void {
  const value = map.get(key);
  if (value === undefined) return;
  map.delete(key);
  map.set(key, value);
}

/** Returns what is equal for requests that want the same. */
function kindOf({ caller, program, model }: Wanted): string {
  return JSON.stringify([caller, program, model]);
}

/** Returns whether a key may come free later. */
export function isWorthWaiting(error: unknown): boolean {
  return error instanceof AipassError && (error.code === 'POOL_EXHAUSTED' || error.code === 'PROVIDER_UNAVAILABLE');
}

function cancelled(): AipassError {
  return new AipassError('CANCELLED', 'the wait for a key was ended');
}
