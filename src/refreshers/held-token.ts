/**
 * Access token in memory: how long it is good for, and when it is renewed.
 *
 * Two clocks decide, and the more careful one wins. The wall clock counts the hours that a machine
 * slept. The monotonic one counts those by which a wall clock was set back. Times are epoch
 * milliseconds.
 */

import type { Clock } from '../base/clock.ts';
import type { Secret } from '../base/secret.ts';
import type { AccountFile } from './account-file.ts';

/** Share of its lifetime after which a token is renewed. */
const DUE_SHARE = 0.8;

/** Margin before expiry that is kept for further tries, in milliseconds. */
const DUE_MARGIN_MS = 5 * 60_000;

/** Share by which due times differ, so that many accounts do not refresh in one second. */
const JITTER_SHARE = 0.1;

/** Lifetime of a token of which none is known: an hour, as Google's. */
const USUAL_LIFETIME_MS = 3_600_000;

/** Most that a caller may ask for, as a share of a token's life: more would always renew it. */
const MAX_DEMANDED_SHARE = 0.95;

/** Longest life of a token of which a caller may ask for half at most, for the same reason. */
const SHORT_LIVED_MS = 2 * 60_000;
const SHORT_LIVED_SHARE = 0.5;

/** Shortest wait between refreshes that keep a refresh token from ending, in milliseconds. */
const MIN_KEEPALIVE_MS = 10_000;

/**
 * Returns when a token of some lifetime is refreshed. That is at 80 % of its lifetime or 5 minutes
 * before expiry, whichever is earlier. It is moved by up to a tenth of that time: `random` is in
 * [0, 1). A token that lives for less than 10 minutes is refreshed around half of its life. The
 * margin alone would have it refreshed again and again.
 */
export function refreshDue(expiresAt: number, lifetimeMs: number, random: number): number {
  const wait = Math.max(Math.min(lifetimeMs * DUE_SHARE, lifetimeMs - DUE_MARGIN_MS), lifetimeMs / 2);
  return Math.round(expiresAt - lifetimeMs + wait * (1 + JITTER_SHARE * (2 * random - 1)));
}

/** Returns the validity that a request really demands of a new token, in milliseconds. */
export function demandedValidity(minValidMs: number, lifetimeMs: number): number {
  return Math.min(minValidMs, lifetimeMs * (lifetimeMs <= SHORT_LIVED_MS ? SHORT_LIVED_SHARE : MAX_DEMANDED_SHARE));
}

/** One access token. */
export class HeldToken {
  readonly accessToken: Secret;
  readonly tokenType: string;
  readonly scopes: readonly string[];
  readonly expiresAt: number | null;
  /** Whether its end is known, or the daemon saw it being granted: else it may be years old. */
  readonly isCertain: boolean;
  /** Time when it is renewed, on the wall clock, or null for a token that is not renewed. */
  readonly dueAt: number | null;
  /** Time when it is renewed so that the refresh token does not end, or null. */
  readonly keepAliveAt: number | null;
  /** Whether it is used as it is; if not, one refresh settles first how old it is. */
  readonly #isTrusted: boolean;
  readonly #lifetimeMs: number;
  readonly #clock: Clock;
  readonly #heldSince: { readonly wall: number; readonly monotonic: number };

  /** Holds the token of an account's file; `random` is in [0, 1). */
  constructor(
    file: Omit<AccountFile, 'accessToken'> & { readonly accessToken: Secret },
    isCertain: boolean,
    clock: Clock,
    random: number,
  ) {
    const { refreshToken, refreshExpiresAt } = file;
    const now = clock.now();
    this.#clock = clock;
    this.#heldSince = { wall: now, monotonic: clock.monotonic() };
    this.accessToken = file.accessToken;
    this.tokenType = file.tokenType;
    this.scopes = file.scopes;
    // A token that was obtained in the future counts as obtained now: the clock was wrong then, and
    // only its lifetime is known.
    const aheadMs = Math.max(0, (file.obtainedAt ?? now) - now);
    const obtainedAt = file.obtainedAt === null ? null : file.obtainedAt - aheadMs;
    const expiresAt = file.expiresAt === null ? null : file.expiresAt - aheadMs;
    this.expiresAt = expiresAt;
    this.#lifetimeMs =
      obtainedAt === null || expiresAt === null ? USUAL_LIFETIME_MS : Math.max(0, expiresAt - obtainedAt);
    this.isCertain = isCertain;
    this.#isTrusted = isCertain || refreshToken === null;

    const since = obtainedAt ?? now;
    const keepAliveMs = refreshExpiresAt === null ? 0 : (refreshExpiresAt - since) * DUE_SHARE;
    this.keepAliveAt = keepAliveMs < MIN_KEEPALIVE_MS ? null : Math.round(since + keepAliveMs);
    // One of unknown end is renewed as often as a usual one.
    const end = expiresAt ?? (refreshToken === null ? null : since + USUAL_LIFETIME_MS);
    if (!this.#isTrusted) this.dueAt = now;
    else if (end === null) this.dueAt = null;
    else this.dueAt = Math.min(refreshDue(end, this.#lifetimeMs, random), this.keepAliveAt ?? Infinity);
  }

  /** Returns how long it is still valid, in milliseconds: infinite when no end is known. */
  remaining(): number {
    return this.expiresAt === null ? Number.POSITIVE_INFINITY : this.#until(this.expiresAt);
  }

  isDue(): boolean {
    return this.dueAt !== null && this.#until(this.dueAt) <= 0;
  }

  /** Returns whether it satisfies a caller that needs it for `minValidMs`. */
  suffices(minValidMs: number): boolean {
    if (!this.#isTrusted || this.expiresAt === null) return this.#isTrusted;
    const remaining = this.remaining();
    return remaining > 0 && remaining >= demandedValidity(minValidMs, this.#lifetimeMs);
  }

  #until(time: number): number {
    const byWall = time - this.#clock.now();
    const byMonotonic = time - this.#heldSince.wall - (this.#clock.monotonic() - this.#heldSince.monotonic);
    return Math.min(byWall, byMonotonic);
  }
}
