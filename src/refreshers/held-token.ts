/**
 * An access token in memory, and how long it is good for. Two clocks judge it, and the more careful one wins: the wall
 * clock knows of the hours that a machine slept, the monotonic one of a wall clock that was set back.
 */

import type { Clock } from '../base/clock.ts';
import type { Secret } from '../base/secret.ts';
import { demandedValidity, refreshDue, type TokenLife } from './due.ts';

/** Is what is known of a token besides the clocks. Times are epoch milliseconds. */
export interface TokenFacts {
  readonly accessToken: Secret;
  readonly tokenType: string;
  readonly scopes: readonly string[];
  readonly expiresAt: number | null;
  readonly obtainedAt: number | null;
}

/** Holds one access token. */
export class HeldToken {
  readonly facts: TokenFacts;
  readonly #clock: Clock;
  readonly #heldSince: { readonly wall: number; readonly monotonic: number };
  readonly #life: TokenLife | null;
  /** Is when it is renewed, on the wall clock, or null for a token that is not known to expire. */
  readonly dueAt: number | null;

  constructor(facts: TokenFacts, clock: Clock, random: number) {
    this.facts = facts;
    this.#clock = clock;
    this.#heldSince = { wall: clock.now(), monotonic: clock.monotonic() };
    this.#life = facts.expiresAt === null ? null : { expiresAt: facts.expiresAt, obtainedAt: facts.obtainedAt };
    this.dueAt = this.#life === null ? null : refreshDue(this.#life, random);
  }

  /** Returns how long it is still valid, in milliseconds: infinite when it is not known to expire, not positive when it has. */
  remaining(): number {
    return this.facts.expiresAt === null ? Number.POSITIVE_INFINITY : this.#until(this.facts.expiresAt);
  }

  /** Tells whether it is time to renew it. */
  isDue(): boolean {
    return this.dueAt !== null && this.#until(this.dueAt) <= 0;
  }

  /** Tells whether it satisfies a caller that needs it for `minValidMs`. */
  suffices(minValidMs: number): boolean {
    const remaining = this.remaining();
    return remaining > 0 && (this.#life === null || remaining >= demandedValidity(minValidMs, this.#life));
  }

  #until(time: number): number {
    const byWall = time - this.#clock.now();
    const byMonotonic = time - this.#heldSince.wall - (this.#clock.monotonic() - this.#heldSince.monotonic);
    return Math.min(byWall, byMonotonic);
  }
}
