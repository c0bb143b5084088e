/**
 * How much of a provider's limit is left, for people.
 */

import type { LimitWindow } from '../protocol/pool.ts';

/** Prints a window as its provider told of it. */
export function printWindow({ name, limit, remaining, percent, per }: LimitWindow): string {
  const share = percent === null ? '' : ` ${percent} % used`;
  const counts =
    limit === null ? (remaining === null ? '' : ` ${remaining} left`) : ` ${remaining ?? '?'}/${limit} left`;
  return `${name}${counts}${share}${per === null ? '' : ` per ${per}`}`;
}
