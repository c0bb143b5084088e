/**
 * What one user may hold of the daemon at a time, over all of that user's connections: connections, requests in flight,
 * requests a second, bytes waiting, and as many bytes again of requests in flight. Counts only; what to do with one who is over a limit is the door's decision.
 *
 * A user of whom nothing is held is forgotten, so that the books never outgrow the connections; but not before what was
 * asked within the last second counts no more, or whoever connects anew for each request would have no limit.
 */

import type { Clock } from '../base/clock.ts';
import type { Config } from '../base/config-schema.ts';

/** Is how much one user may hold. */
export interface UserLimitValues {
  readonly connections: number;
  readonly inFlight: number;
  readonly waitingBytes: number;
  /** Is how many requests a second a user may begin, a second's worth of them at once; undefined for any number. */
  readonly requestsPerSecond: number | undefined;
}

/** Takes the limits of one user from a configuration. */
export function userLimits({ limits }: Pick<Config, 'limits'>): UserLimitValues {
  return { ...limits.perUser, requestsPerSecond: limits.requestsPerSecond };
}

/** Says whether a request may begin, and if not, which limit it met and how long to wait, in milliseconds. */
export type RequestAdmission =
  | { readonly kind: 'admitted' }
  | {
      readonly kind: 'refused';
      readonly limit: 'inFlight' | 'requestsPerSecond' | 'waitingBytes';
      readonly retryAfterMs: number;
    };

/** Is the wait that is advised where the end of a request cannot be foreseen. */
const IN_FLIGHT_RETRY_MS = 100;

interface Holding {
  connections: number;
  inFlight: number;
  waitingBytes: number;
  requestBytes: number;
  tokens: number;
  refilledAt: number;
}

/** Keeps the books of what each user holds. */
export class UserLimits {
  #limits: UserLimitValues;
  readonly #clock: Clock;
  readonly #holdings = new Map<number, Holding>();

  constructor(limits: UserLimitValues, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /** Replaces the limits; what is held already stays held. */
  change(limits: UserLimitValues): void {
    this.#limits = limits;
  }

  /** Counts a new connection; false, and not counted, where the user has as many as one may. */
  connect(uid: number): boolean {
    const holding = this.#holdings.get(uid) ?? this.#begin(uid);
    if (holding.connections >= this.#limits.connections) return false;
    holding.connections += 1;
    return true;
  }

  /** Takes back what `connect` counted. */
  disconnect(uid: number): void {
    const holding = this.#holdings.get(uid);
    if (!holding) return;
    holding.connections -= 1;
    this.#forget(uid, holding);
  }

  /** Counts a request of so many bytes that begins; each admitted one is ended by `endRequest`, exactly once. */
  beginRequest(uid: number, bytes: number): RequestAdmission {
    const holding = this.#holdings.get(uid) ?? this.#begin(uid);
    if (holding.inFlight >= this.#limits.inFlight) {
      return { kind: 'refused', limit: 'inFlight', retryAfterMs: IN_FLIGHT_RETRY_MS };
    }
    // One alone may be as large as a frame may be.
    if (holding.inFlight > 0 && holding.requestBytes + bytes > this.#limits.waitingBytes) {
      return { kind: 'refused', limit: 'waitingBytes', retryAfterMs: IN_FLIGHT_RETRY_MS };
    }
    const rate = this.#limits.requestsPerSecond;
    if (rate !== undefined) {
      this.#refill(holding, rate);
      if (holding.tokens < 1) {
        return {
          kind: 'refused',
          limit: 'requestsPerSecond',
          retryAfterMs: Math.ceil(((1 - holding.tokens) / rate) * 1000),
        };
      }
      holding.tokens -= 1;
    }
    holding.inFlight += 1;
    holding.requestBytes += bytes;
    return { kind: 'admitted' };
  }

  /** Takes back what `beginRequest` counted. */
  endRequest(uid: number, bytes: number): void {
    const holding = this.#holdings.get(uid);
    if (!holding) return;
    holding.inFlight -= 1;
    holding.requestBytes -= bytes;
    this.#forget(uid, holding);
  }

  /** Adds to, or with a negative number takes from, the bytes that wait for a user; false where they are over the limit now. */
  wait(uid: number, bytes: number): boolean {
    const holding = this.#holdings.get(uid) ?? this.#begin(uid);
    holding.waitingBytes += bytes;
    const within = holding.waitingBytes <= this.#limits.waitingBytes;
    this.#forget(uid, holding);
    return within;
  }

  /** Returns how many users hold something, or did within the last second. */
  get users(): number {
    return this.#holdings.size;
  }

  #begin(uid: number): Holding {
    // Nothing else looks at those who had asked too much when they left.
    for (const [other, held] of this.#holdings) this.#forget(other, held);
    const holding: Holding = {
      connections: 0,
      inFlight: 0,
      waitingBytes: 0,
      requestBytes: 0,
      tokens: this.#limits.requestsPerSecond ?? 0,
      refilledAt: this.#clock.monotonic(),
    };
    this.#holdings.set(uid, holding);
    return holding;
  }

  /** Gives back the requests that the time since the last look allows. */
  #refill(holding: Holding, rate: number): void {
    const now = this.#clock.monotonic();
    holding.tokens = Math.min(rate, holding.tokens + ((now - holding.refilledAt) / 1000) * rate);
    holding.refilledAt = now;
  }

  #forget(uid: number, holding: Holding): void {
    if (holding.connections > 0 || holding.inFlight > 0 || holding.waitingBytes > 0) return;
    const rate = this.#limits.requestsPerSecond;
    if (rate !== undefined) this.#refill(holding, rate);
    if (rate === undefined || holding.tokens >= rate) this.#holdings.delete(uid);
  }
}
