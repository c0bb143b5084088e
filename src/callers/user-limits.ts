/**
 * Limits of one user over all of that user's connections. They bound connections, requests in
 * flight, requests per second, waiting bytes, and as many bytes again of requests in flight. This
 * file only counts; the caller decides what happens to a user over a limit.
 *
 * A user with nothing open is forgotten, so that the counts never outgrow the connections. But not
 * before the requests of the last second are over, or a user who reconnects for each request would
 * have no limit.
 */

import type { Clock } from '../base/clock.ts';
import type { Config } from '../base/config-schema.ts';
import { AipassError } from '../base/errors.ts';

/** The limits of one user, and of all users together that are neither the daemon's own nor root. */
export interface UserLimitValues {
  /** Connections of all others together; the daemon's own user and root have room besides. */
  readonly connectionsOfOthers: number;
  readonly connections: number;
  readonly inFlight: number;
  readonly waitingBytes: number;
  /** Requests per second, of which one second's worth may come at once; undefined for no limit. */
  readonly requestsPerSecond: number | undefined;
}

export function userLimits({ limits }: Pick<Config, 'limits'>): UserLimitValues {
  return { connectionsOfOthers: limits.connections, ...limits.perUser, requestsPerSecond: limits.requestsPerSecond };
}

/** Whether a request may begin; if not, the exceeded limit and the time to wait. */
export type RequestAdmission =
  | { readonly kind: 'admitted' }
  | {
      readonly kind: 'refused';
      readonly limit: 'inFlight' | 'requestsPerSecond' | 'waitingBytes';
      readonly retryAfterMs: number;
    };

const OVER_LIMIT = {
  inFlight: {
    problem: 'this user has too many requests in flight',
    hint: 'wait for replies before sending more, or raise limits.perUser.inFlight',
  },
  requestsPerSecond: {
    problem: 'this user sends too many requests per second',
    hint: 'send fewer, or raise limits.requestsPerSecond',
  },
  waitingBytes: {
    problem: "this user's requests in flight are too large together",
    hint: 'wait for replies before sending more, or raise limits.perUser.waitingBytes',
  },
} as const;

/** Returns the error for a request that is over a limit of its user. */
export function overUserLimit({
  limit,
  retryAfterMs,
}: Omit<Extract<RequestAdmission, { kind: 'refused' }>, 'kind'>): AipassError {
  const { problem, hint } = OVER_LIMIT[limit];
  return new AipassError('BAD_REQUEST', problem, { hint, retryAfterMs });
}

/** Advised wait until a request in flight may have ended, in milliseconds. */
const IN_FLIGHT_RETRY_MS = 100;

/** Connections, and requests without a complete answer. */
export interface Load {
  readonly connections: number;
  readonly requestsInFlight: number;
}

interface Holding {
  connections: number;
  inFlight: number;
  waitingBytes: number;
  requestBytes: number;
  tokens: number;
  refilledAt: number;
}

export class UserLimits {
  #limits: UserLimitValues;
  readonly #clock: Clock;
  readonly #holdings = new Map<number, Holding>();
  readonly #load = { connections: 0, requestsInFlight: 0 };
  #ofOthers = 0;

  constructor(limits: UserLimitValues, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /** Replaces the limits; nothing that is open is closed. */
  change(limits: UserLimitValues): void {
    this.#limits = limits;
  }

  /** Counts a new connection, or returns false. The daemon's own user and root always get one. */
  connect(uid: number, isOwn: boolean): boolean {
    if (!isOwn && this.#ofOthers >= this.#limits.connectionsOfOthers) return false;
    const holding = this.#holdings.get(uid) ?? this.#begin(uid);
    if (holding.connections >= this.#limits.connections) return false;
    holding.connections += 1;
    this.#load.connections += 1;
    if (!isOwn) this.#ofOthers += 1;
    return true;
  }

  disconnect(uid: number, isOwn: boolean): void {
    const holding = this.#holdings.get(uid);
    if (!holding) return;
    if (!isOwn) this.#ofOthers -= 1;
    holding.connections -= 1;
    this.#load.connections -= 1;
    this.#forget(uid, holding);
  }

  /** Counts a request; each admitted one is ended by `endRequest` exactly once. */
  beginRequest(uid: number, bytes: number): RequestAdmission {
    const holding = this.#holdings.get(uid) ?? this.#begin(uid);
    if (holding.inFlight >= this.#limits.inFlight) {
      return { kind: 'refused', limit: 'inFlight', retryAfterMs: IN_FLIGHT_RETRY_MS };
    }
    // A single request may be as large as a frame.
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
    this.#load.requestsInFlight += 1;
    holding.requestBytes += bytes;
    return { kind: 'admitted' };
  }

  /** Reverses `beginRequest`. */
  endRequest(uid: number, bytes: number): void {
    const holding = this.#holdings.get(uid);
    if (!holding) return;
    holding.inFlight -= 1;
    this.#load.requestsInFlight -= 1;
    holding.requestBytes -= bytes;
    this.#forget(uid, holding);
  }

  /** Adds to a user's waiting bytes, negative numbers too; false if they exceed the limit. */
  wait(uid: number, bytes: number): boolean {
    const holding = this.#holdings.get(uid) ?? this.#begin(uid);
    holding.waitingBytes += bytes;
    const within = holding.waitingBytes <= this.#limits.waitingBytes;
    this.#forget(uid, holding);
    return within;
  }

  /** Connections and requests of all users that have not ended; the one count of them. */
  get load(): Load {
    return this.#load;
  }

  /** Number of users with something open now or within the last second. */
  get users(): number {
    return this.#holdings.size;
  }

  #begin(uid: number): Holding {
    // Users who left while they were over their rate are checked nowhere else.
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

  /** Adds the requests that the time since the last refill allows. */
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
