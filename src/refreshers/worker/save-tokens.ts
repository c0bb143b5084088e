/**
 * Puts new tokens on disk, before anyone hears of them. Runs while the account's lock is held.
 */

import { randomUUID } from 'node:crypto';
import { mkdir, open, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { systemErrorCode } from '../../base/errors.ts';
import { writeSecretFile } from '../../credentials/atomic-write.ts';

/** Is what is set aside before an exchange, in bytes: more than any account's file needs. */
const RESERVED_BYTES = 64 * 1024;

/** Are the waits before a failed write is tried again, in milliseconds: a full disk is often full for a moment only. */
const WRITE_RETRY_MS = [200, 1_000, 3_000] as const;

/** Is room on the disk for the tokens to come. */
export interface Reservation {
  /** Writes an account's file into the room that was kept. Throws the system's error when it fails again and again. */
  write(path: string, text: string): Promise<void>;
  release(): Promise<void>;
}

/**
 * Proves that an account's folder can be written and keeps room in it, because a provider that rotates refresh tokens
 * must not be asked for one that then has no place.
 *
 * @throws the system's error.
 */
export async function reserveRoom(file: string): Promise<Reservation> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const room = join(dirname(file), `.aipassd-${randomUUID()}.tmp`);
  const release = (): Promise<void> => rm(room, { force: true });
  try {
    const handle = await open(room, 'wx', 0o600);
    try {
      await handle.writeFile(Buffer.alloc(RESERVED_BYTES, ' '));
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    await release();
    throw error;
  }
  return {
    release,
    async write(path, text) {
      await release();
      for (const wait of [...WRITE_RETRY_MS, null]) {
        try {
          await writeSecretFile(path, text);
          return;
        } catch (error) {
          if (wait === null) throw error;
        }
        await new Promise((resolve) => {
          setTimeout(resolve, wait);
        });
      }
    },
  };
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
