/**
 * The lock of one account: a file beside the account's own. Whoever asks a provider for tokens of
 * the account holds it, so that a daemon that was killed and started again does not send a refresh
 * token that the worker of its predecessor has just used up.
 *
 * The policy of this lock: wait for it, up to a limit. The lock itself is base/file-lock.ts.
 */

import { basename, dirname, join } from 'node:path';
import { foregroundClock } from '../base/clock.ts';
import { tryFileLock, type FileLock } from '../base/file-lock.ts';
import { delay } from '../base/timeout.ts';

/** Interval between two attempts on a held lock, in milliseconds. */
const POLL_MS = 50;

/** Returns where the lock of an account's file is. */
export function lockPath(accountFile: string): string {
  return join(dirname(accountFile), `.${basename(accountFile)}.lock`);
}

/**
 * Takes a lock as soon as it is free; returns undefined when a living process still holds it after
 * `waitMs`.
 *
 * @throws the system's error where the folder cannot be written.
 */
export async function acquireLock(path: string, waitMs: number): Promise<FileLock | undefined> {
  const deadline = performance.now() + waitMs;
  for (;;) {
    const outcome = await tryFileLock(path);
    if (outcome.kind === 'taken') return outcome.lock;
    if (performance.now() >= deadline) return undefined;
    await delay(foregroundClock, POLL_MS);
  }
}
