/**
 * Access token in memory: how long it is good for, and when it is renewed.
 *
 * Two clocks decide, and the more careful one wins. The wall clock counts the hours that a machine
 * slept. The monotonic one counts those by which a wall clock was set back. Times are epoch
 * milliseconds.
 */

import type { Clock } from '../base/clock.ts';
import type { Secret } from '../base/secret.ts';

/** Share of its lifetime after which a token is renewed. */
const DUE_SHARE = 0.8;

/** Margin before expiry that is kept for further tries, in milliseconds. */
const DUE_MARGIN_MS = 5 * 60_000;

/**
 * Share by which a due time is moved either way, so that many accounts do not refresh in one
 * second.
 */
const JITTER_SHARE = 0.1;

/**
 * Lifetime of a token of which none is known: an hour, as Google's
 * (developers.google.com/identity/protocols/oauth2).
 */
const USUAL_LIFETIME_MS = 3_600_000;

/**
 * Share of a token's life that a caller may ask for at most: more would have every call renew it.
 */
const MAX_DEMANDED_SHARE = 0.95;

/**
 * Longest validity that a token which lives a few minutes is renewed for ahead of its due time, as
 * a share of its life.
 */
const SHORT_LIVED_MS = 2 * 60_000;
const SHORT_LIVED_SHARE = 0.5;

/**
 * Shortest planned wait between two refreshes that keep a refresh token from ending, in
 * milliseconds.
 */
const MIN_KEEPALIVE_MS = 10_000;

/** Time between the begin and the end of a token. */
export interface TokenLife {
  readonly obtainedAt: number | null;
  readonly expiresAt: number;
}

/** Returns how long a token lives in all, in milliseconds, at least 0. */
function lifetime(life: TokenLife): number {
  return life.obtainedAt === null ? USUAL_LIFETIME_MS : Math.max(0, life.expiresAt - life.obtainedAt);
}

/**
 * Returns when a token is refreshed. That is at 80 % of its lifetime or 5 minutes before expiry,
 * whichever is earlier. It is moved by up to a tenth of that time: `random` is in [0, 1). A token
 * that lives for less than 10 minutes is not refreshed before half of its life is over. The margin
 * alone would have it refreshed again and again.
 */
export function refreshDue(life: TokenLife, random: number): number {
  const whole = lifetime(life);
  const obtainedAt = life.expiresAt - whole;
  const wait = Math.max(Math.min(whole * DUE_SHARE, whole - DUE_MARGIN_MS), whole / 2);
  return Math.round(obtainedAt + wait * (1 + JITTER_SHARE * (2 * random - 1)));
}

/**
 * Returns the validity that a request really demands, in milliseconds. That is what it asks for, at
 * most 95 % of what a new token has. It is half of it for a token of two minutes or less, which
 * each call would refresh otherwise.
 */
export function demandedValidity(minValidMs: number, life: TokenLife): number {
  const whole = lifetime(life);
  return Math.min(minValidMs, whole * (whole <= SHORT_LIVED_MS ? SHORT_LIVED_SHARE : MAX_DEMANDED_SHARE));
}

/**
 * Returns when a refresh has to happen so that the refresh token does not end. That is at 80 % of
 * its life after the last refresh. Null where too little is left for that to help.
 */
function keepAliveDue(obtainedAt: number, refreshExpiresAt: number): number | null {
  const wait = (refreshExpiresAt - obtainedAt) * DUE_SHARE;
  return wait < MIN_KEEPALIVE_MS ? null : Math.round(obtainedAt + wait);
}

/** Properties of a token besides the clocks. */
export interface TokenProperties {
  readonly accessToken: Secret;
  readonly tokenType: string;
  readonly scopes: readonly string[];
  readonly expiresAt: number | null;
  readonly obtainedAt: number | null;
  /** End of the refresh token beside it, or null where none is known. */
  readonly refreshExpiresAt?: number | null;
  /**
   * Whether its end is known, or the daemon saw it being granted. Otherwise it may be years old,
   * and is refreshed before it is used.
   */
  readonly isCertain?: boolean;
  /** Whether it can be renewed. */
  readonly renewable?: boolean;
}

/** One access token. */
export class HeldToken {
  readonly facts: TokenProperties;
  readonly #clock: Clock;
  readonly #heldSince: { readonly wall: number; readonly monotonic: number };
  readonly #life: TokenLife | null;
  /** Time when it is renewed, on the wall clock, or null for a token that is not renewed. */
  readonly dueAt: number | null;
  /**
   * Time at which it is renewed so that the refresh token does not end, or null where none is
   * planned.
   */
  readonly keepAliveAt: number | null;

  constructor(given: TokenProperties, clock: Clock, random: number) {
    const facts = fromThePresent(given, clock.now());
    this.facts = facts;
    this.#clock = clock;
    this.#heldSince = { wall: clock.now(), monotonic: clock.monotonic() };
    this.#life = facts.expiresAt === null ? null : { expiresAt: facts.expiresAt, obtainedAt: facts.obtainedAt };
    this.keepAliveAt = keepAliveTime(facts, this.#heldSince.wall);
    this.dueAt = dueTime(facts, this.#life, this.keepAliveAt, this.#heldSince.wall, random);
  }

  /**
   * Returns how long it is still valid, in milliseconds: infinite when no end is known, not
   * positive when it has expired.
   */
  remaining(): number {
    return this.facts.expiresAt === null ? Number.POSITIVE_INFINITY : this.#until(this.facts.expiresAt);
  }

  /** Returns whether it is time to renew it. */
  isDue(): boolean {
    return this.dueAt !== null && this.#until(this.dueAt) <= 0;
  }

  /** Returns whether it satisfies a caller that needs it for `minValidMs`. */
  suffices(minValidMs: number): boolean {
    if (hasUncertainAge(this.facts)) return false;
    if (this.#life === null) return true;
    const remaining = this.remaining();
    return remaining > 0 && remaining >= demandedValidity(minValidMs, this.#life);
  }

  #until(time: number): number {
    const byWall = time - this.#clock.now();
    const byMonotonic = time - this.#heldSince.wall - (this.#clock.monotonic() - this.#heldSince.monotonic);
    return Math.min(byWall, byMonotonic);
  }
}

/**
 * Returns a token that was obtained in the future as obtained now. The clock was wrong then, and
 * only its lifetime is known.
 */
function fromThePresent(facts: TokenProperties, now: number): TokenProperties {
  const { obtainedAt, expiresAt } = facts;
  if (obtainedAt === null || obtainedAt <= now) return facts;
  const ahead = obtainedAt - now;
  return { ...facts, obtainedAt: now, expiresAt: expiresAt === null ? null : expiresAt - ahead };
}

function keepAliveTime({ obtainedAt, refreshExpiresAt = null }: TokenProperties, now: number): number | null {
  return refreshExpiresAt === null ? null : keepAliveDue(obtainedAt ?? now, refreshExpiresAt);
}

function dueTime(
  facts: TokenProperties,
  life: TokenLife | null,
  keepAlive: number | null,
  now: number,
  random: number,
): number | null {
  if (hasUncertainAge(facts)) return now;
  const own = life === null ? unknownDue(facts, now, random) : refreshDue(life, random);
  return own === null || keepAlive === null ? own : Math.min(own, keepAlive);
}

/** Returns whether one refresh has to settle how old the token is. */
function hasUncertainAge({ renewable, isCertain }: TokenProperties): boolean {
  return renewable === true && isCertain === false;
}

/**
 * Returns when a token of unknown end that was granted before our eyes is renewed: as often as a
 * usual one.
 */
function unknownDue({ renewable, obtainedAt }: TokenProperties, now: number, random: number): number | null {
  if (renewable !== true) return null;
  const since = obtainedAt ?? now;
  return refreshDue({ obtainedAt: since, expiresAt: since + USUAL_LIFETIME_MS }, random);
}
