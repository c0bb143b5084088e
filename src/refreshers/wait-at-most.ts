/**
 * Waiting with an end.
 */

import type { Clock } from '../base/clock.ts';

/** Waits for work, but no longer than a limit in milliseconds; the work goes on by itself. Rejects as the work does. */
export async function waitAtMost(clock: Clock, limitMs: number, work: Promise<unknown>): Promise<void> {
  let cancel: (() => void) | undefined;
  const limit = new Promise<void>((resolve) => {
    cancel = clock.after(limitMs, resolve);
  });
  try {
    await Promise.race([work, limit]);
  } finally {
    cancel?.();
  }
}
