/**
 * How long to wait where nobody said: doubling, bounded, and spread by chance so that many do not come back at once.
 */

/** Is a source of chance in [0, 1), as Math.random. */
export type Chance = () => number;

/** Bounds a doubling wait, in milliseconds. */
export interface Backoff {
  readonly firstMs: number;
  readonly maxMs: number;
}

/** Is the default rest of a limited key: 1 s, doubling to 5 min. */
export const REST_BACKOFF: Backoff = { firstMs: 1000, maxMs: 300_000 };

/** Returns the wait after a number of failures in a row (1 for the first): up to a fifth shorter by chance, never longer. */
export function backoffMs({ firstMs, maxMs }: Backoff, failures: number, chance: Chance): number {
  const doubled = firstMs * 2 ** Math.min(Math.max(failures, 1) - 1, 52);
  return Math.round(Math.min(doubled, maxMs) * (1 - chance() / 5));
}
