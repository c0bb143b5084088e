/**
 * How long to wait after a failed refresh. Pure.
 */

/** Is the shortest wait, in milliseconds. */
export const MIN_BACKOFF_MS = 2_000;

/** Is the longest wait that we choose ourselves, in milliseconds. */
export const MAX_BACKOFF_MS = 5 * 60_000;

/** Is the longest wait that a server may ask for, in milliseconds: a day by mistake must not end a token. */
const MAX_RETRY_AFTER_MS = 3_600_000;

/**
 * Returns the wait before the next try, in milliseconds: full jitter (`random` in [0, 1)) between 2 s and a limit that
 * doubles with each failure from 4 s up to 5 min, and never less than the server's Retry-After, up to an hour.
 */
export function backoff(failures: number, random: number, retryAfterMs?: number): number {
  const limit = Math.min(MAX_BACKOFF_MS, MIN_BACKOFF_MS * 2 ** Math.min(Math.max(failures, 1), 20));
  const wait = MIN_BACKOFF_MS + random * (limit - MIN_BACKOFF_MS);
  return Math.round(Math.max(wait, Math.min(retryAfterMs ?? 0, MAX_RETRY_AFTER_MS)));
}
