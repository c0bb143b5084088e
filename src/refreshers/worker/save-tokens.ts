/**
 * Puts new tokens on disk, before anyone hears of them. Runs while the account's lock is held.
 */

import { dirname } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { systemErrorCode } from '../../base/errors.ts';
import { reserveFile, writeFileAtomic } from '../../base/atomic-write.ts';

/** Is what is set aside before an exchange, in bytes: more than any account's file needs. */
const RESERVED_BYTES = 64 * 1024;

/** Are the waits before a failed write is tried again, in milliseconds: a full disk is often full for a moment only. */
const WRITE_RETRY_MS = [200, 1_000, 3_000] as const;

/** Is how often a write that keeps failing is tried again, in milliseconds, and for how long. */
const LATE_RETRY_MS = 5_000;
export const LATE_LIMIT_MS = 3_600_000;

/** Is room on the disk for the tokens to come. */
export interface Reservation {
  /**
   * Writes an account's file into the room that was kept. `print` is asked for the text before each try, because the file
   * may have changed; where it has none, nothing is written, and the promise resolves with false. A write that fails again
   * and again is told to `onFailure`, once, and tried for an hour more: whoever mends the disk meanwhile has lost nothing.
   * Throws the system's error after that.
   */
  write(print: () => Promise<string | undefined>, onFailure: (error: unknown) => void): Promise<boolean>;
  release(): Promise<void>;
}

/**
 * Proves that an account's folder can be written and keeps room in it, because a provider that rotates refresh tokens
 * must not be asked for one that then has no place.
 *
 * @throws the system's error.
 */
export async function reserveRoom(file: string, clock: Clock): Promise<Reservation> {
  const room = await reserveFile(file, RESERVED_BYTES);
  return {
    release: () => room.release(),
    async write(print, onFailure) {
      const deadline = clock.monotonic() + LATE_LIMIT_MS;
      for (let tries = 1; ; tries++) {
        const text = await print();
        if (text === undefined) return false;
        try {
          await (tries === 1 ? room.write(text) : writeFileAtomic(file, text));
          return true;
        } catch (error) {
          if (tries === WRITE_RETRY_MS.length + 1) onFailure(error);
          if (clock.monotonic() >= deadline) throw error;
        }
        await pause(clock, WRITE_RETRY_MS[tries - 1] ?? LATE_RETRY_MS);
      }
    },
  };
}

/** Waits on a worker's clock. */
export function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(ms, resolve);
  });
}

/** Says why a write failed and what to do, in words for people. */
export function explainWriteFailure(
  file: string,
  error: unknown,
): { readonly reason: string; readonly remedy: string } {
  const code = systemErrorCode(error) ?? 'unknown reason';
  const folder = dirname(file);
  const remedy =
    code === 'ENOSPC' || code === 'EDQUOT'
      ? `free space on the disk of ${folder}`
      : `make ${folder} writable for this user`;
  return { reason: `${file} cannot be written (${code})`, remedy };
}
