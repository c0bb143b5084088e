/**
 * When a token is renewed, and for how long it still may be handed out. Pure decisions on epoch milliseconds.
 */

/** Is the share of its lifetime after which a token is renewed. */
const DUE_SHARE = 0.8;

/** Is the margin before expiry that is kept for trying again, in milliseconds. */
const DUE_MARGIN_MS = 5 * 60_000;

/** Is the share by which a due time is moved either way, so that many accounts do not refresh in one second. */
const JITTER_SHARE = 0.1;

/** Is the lifetime of a token whose file does not say when it was obtained: an hour, as Google's (developers.google.com/identity/protocols/oauth2). */
const USUAL_LIFETIME_MS = 3_600_000;

/** Is a token's time of life. */
export interface TokenLife {
  readonly obtainedAt: number | null;
  readonly expiresAt: number;
}

/** Returns how long a token lives in all, in milliseconds, never less than none. */
export function lifetime(life: TokenLife): number {
  return life.obtainedAt === null ? USUAL_LIFETIME_MS : Math.max(0, life.expiresAt - life.obtainedAt);
}

/**
 * Returns when a token is renewed: at 80 % of its lifetime or 5 minutes before expiry, whichever is earlier, moved by up
 * to a tenth of that time; `random` is in [0, 1). A token that lives for less than 10 minutes is not renewed before half
 * of its life is over, because the margin alone would have it renewed again and again.
 */
export function refreshDue(life: TokenLife, random: number): number {
  const whole = lifetime(life);
  const obtainedAt = life.expiresAt - whole;
  const wait = Math.max(Math.min(whole * DUE_SHARE, whole - DUE_MARGIN_MS), whole / 2);
  return Math.round(obtainedAt + wait * (1 + JITTER_SHARE * (2 * random - 1)));
}

/** Is the share of a token's life that a caller may ask for at most: more would have every call renew it. */
const MAX_DEMANDED_SHARE = 0.95;

/** Returns the validity that a request really demands, in milliseconds: what it asks for, at most 95 % of what a new token has. */
export function demandedValidity(minValidMs: number, life: TokenLife): number {
  return Math.min(minValidMs, lifetime(life) * MAX_DEMANDED_SHARE);
}
