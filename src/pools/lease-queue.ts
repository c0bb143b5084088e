/**
 * Callers that wait for a key. Users take turns, and the programs of a user among themselves, each
 * with its oldest request first. So one with many requests does not block the others. A request
 * leaves with a lease, when its time is up, when its caller ends it, or when the daemon stops. It
 * always gets an answer.
 */

import type { Clock } from '../base/clock.ts';
import { AipassError } from '../base/errors.ts';
import { FairTurns } from '../base/fair-turns.ts';
import { MAX_STEP_MS } from '../base/timers.ts';
import type { KeyLease } from './lease.ts';

/** A request for a lease. */
export interface Wanted {
  readonly model: string | undefined;
  /** User and program that ask; see LeaseRequest. */
  readonly caller?: string | undefined;
  readonly program?: string | undefined;
  /** Takes a lease, or throws why there is none. */
  readonly attempt: () => KeyLease;
}

interface Waiter extends Wanted {
  /** Equal for requests that want the same. */
  readonly kind: string;
  readonly resolve: (lease: KeyLease) => void;
  readonly reject: (error: unknown) => void;
  readonly leave: () => void;
}

/** One scan of all that wait, after something came free. */
interface Scan {
  /** Users that had no turn in this round. */
  users: Iterator<[string, Programs]>;
  /** Requests of each user that were not scanned. */
  readonly untried: Map<string, Iterator<Waiter>>;
  /** Kinds of requests that got no lease in this round. */
  readonly failed: Set<string>;
  hasTried: boolean;
}

/** Waiting requests of a user by program, oldest first. */
type Programs = Map<string, Set<Waiter>>;

export class LeaseQueue {
  readonly #clock: Clock;
  readonly #mayServe: () => boolean;
  readonly #turns = new FairTurns<LeaseQueue>(() => this.#step());
  /** Waiters by user and program; those whose turn it is come first. */
  readonly #byUser = new Map<string, Programs>();
  /** Number of waiting requests by kind. */
  readonly #kinds = new Map<string, number>();
  #size = 0;
  #scan: Scan | undefined;
  #isTrying = false;

  /** `mayServe` returns false where no request at all would get a lease now. */
  constructor(clock: Clock, mayServe: () => boolean = () => true) {
    this.#clock = clock;
    this.#mayServe = mayServe;
  }

  get size(): number {
    return this.#size;
  }

  /**
   * Waits for a lease; rejects with the last reason why there is none when the time is up,
   * CANCELLED when `signal` aborts.
   */
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
        kind: kindOf(wanted),
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
      // A request of the same kind waits already, so this one would get nothing either.
      const isFirst = !this.#kinds.has(waiter.kind);
      this.#add(waiter);
      signal?.addEventListener('abort', onAbort);
      poll();
      // A scan that is under way comes to it in its turn.
      if (isFirst && !this.#scan) this.#try(waiter, false);
    });
  }

  /**
   * Serves as many requests as it can. Of those that want the same, the first that gets nothing
   * stands for the others. Where thousands want different things, the others are scanned in later
   * passes of the event loop.
   */
  serve(): void {
    // Serving takes leases, which calls back here.
    if (this.#isTrying || this.#size === 0) return;
    this.#scan = { users: this.#byUser.entries(), untried: new Map(), failed: new Set(), hasTried: false };
    this.#turns.run(this);
  }

  /** Gives the next user a turn. Returns whether the scan goes on. */
  #step(): boolean {
    const scan = this.#scan;
    if (!scan || !this.#mayServe()) return this.#endScan();
    const next = scan.users.next();
    if (next.done === true) {
      if (!scan.hasTried) return this.#endScan();
      scan.users = this.#byUser.entries();
      scan.hasTried = false;
      return true;
    }
    const [user, programs] = next.value;
    const untried = scan.untried.get(user) ?? waitersOf(programs);
    scan.untried.set(user, untried);
    const waiter = nextOf(untried, ({ kind }) => !scan.failed.has(kind));
    if (!waiter) return true;
    scan.hasTried = true;
    if (this.#try(waiter, false)) {
      this.#endTurn(waiter);
      // Another program of this user comes first now.
      scan.untried.delete(user);
    } else scan.failed.add(waiter.kind);
    return true;
  }

  #endScan(): false {
    this.#scan = undefined;
    return false;
  }

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
    this.#kinds.set(waiter.kind, (this.#kinds.get(waiter.kind) ?? 0) + 1);
    this.#size += 1;
  }

  #remove(waiter: Waiter): void {
    const { caller = '', program = '' } = waiter;
    const programs = this.#byUser.get(caller);
    const waiters = programs?.get(program);
    if (!programs || waiters?.delete(waiter) !== true) return;
    this.#size -= 1;
    const left = (this.#kinds.get(waiter.kind) ?? 1) - 1;
    if (left === 0) this.#kinds.delete(waiter.kind);
    else this.#kinds.set(waiter.kind, left);
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
    const wasTrying = this.#isTrying;
    this.#isTrying = true;
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
    } finally {
      this.#isTrying = wasTrying;
    }
  }
}

function* waitersOf(programs: Programs): Generator<Waiter> {
  for (const waiters of programs.values()) yield* waiters;
}

function nextOf<Value>(values: Iterator<Value>, condition: (value: Value) => boolean): Value | undefined {
  for (let next = values.next(); next.done !== true; next = values.next()) {
    if (condition(next.value)) return next.value;
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
