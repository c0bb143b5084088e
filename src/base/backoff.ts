/**
 * Exponential back-off with jitter. Pure: randomness is passed in. Runs on Node 20.16 for the
 * client.
 */

/** Bounds of a wait that doubles with each failure in a row, in milliseconds. */
export interface Backoff {
  /** Limit of the wait after the first failure. */
  readonly firstMs: number;
  readonly maxMs: number;
  /** Share of the wait that randomness may take away, 0 to 1, so that clients spread. */
  readonly jitter: number;
  /** Shortest wait; 0 by default. */
  readonly minMs?: number;
}

/** Source of numbers in [0, 1), as Math.random is. */
export type Random = () => number;

/** Returns the wait after a number of failures in a row (1 for the first), in milliseconds. */
export function backoffMs({ firstMs, maxMs, jitter, minMs = 0 }: Backoff, failures: number, random: Random): number {
  const limit = Math.min(maxMs, firstMs * 2 ** Math.min(Math.max(failures, 1) - 1, 52));
  return Math.round(Math.max(minMs, limit - random() * jitter * Math.max(0, limit - minMs)));
}
