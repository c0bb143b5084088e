/**
 * Waits with an end: for a time, or for work up to a limit. Runs on Node 20.16 for the client.
 */

import type { Clock } from './clock.ts';

type Timers = Pick<Clock, 'after'>;

/**
 * Resolves with `elapsed` after a time in milliseconds, or with `aborted` as soon as the signal
 * aborts. Never rejects.
 */
export function delay(clock: Timers, ms: number, signal?: AbortSignal): Promise<'elapsed' | 'aborted'> {
  if (signal?.aborted === true) return Promise.resolve('aborted');
  if (ms <= 0) return Promise.resolve('elapsed');
  return new Promise((resolve) => {
    const onAbort = (): void => {
      cancel();
      resolve('aborted');
    };
    const cancel = clock.after(ms, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve('elapsed');
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/**
 * Settles as the work does, or with what `onTimeout` returns or throws once a limit in milliseconds
 * has passed. The work itself goes on; a later failure of it is dropped.
 */
export async function withTimeout<T, U>(
  clock: Timers,
  limitMs: number,
  work: Promise<T>,
  onTimeout: () => U,
): Promise<T | U> {
  let cancel: (() => void) | undefined;
  const limit = new Promise<void>((resolve) => {
    cancel = clock.after(limitMs, resolve);
  });
  try {
    return await Promise.race([work, limit.then(onTimeout)]);
  } finally {
    cancel?.();
  }
}
