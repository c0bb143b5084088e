/**
 * What a socket's path may be, and why it may not be bound.
 */

import { chmodSync, lstatSync } from 'node:fs';
import { dirname } from 'node:path';
import { AipassError } from '../base/errors.ts';

/** Is the bound on one path: `sun_path` holds 108 bytes on Linux and 104 on macOS, the final NUL included. */
const MAX_PATH_BYTES = process.platform === 'darwin' ? 103 : 107;

/** Throws BAD_REQUEST for a path that no socket can have. */
export function assertSocketPath(path: string): void {
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) {
    throw new AipassError('BAD_REQUEST', `the socket's path is longer than ${MAX_PATH_BYTES} bytes: ${path}`, {
      hint: 'set AIPASSD_RUNTIME_DIR to a folder with a shorter path, for daemon and clients alike',
    });
  }
}

/** Returns the error for a path that the system does not bind. */
export function cannotListen(path: string, error: unknown): AipassError {
  const reason = error instanceof Error ? error.message : String(error);
  return new AipassError('INTERNAL', `cannot listen on ${path}: ${reason}`, {
    hint: `look at ${dirname(path)}: it must be a folder of your own`,
    cause: error,
  });
}

/** Opens a socket to others or shuts it, after it was bound; where it is gone, the guard makes one with the right mode. */
export function changeSocketMode(path: string, servesOthers: boolean): void {
  try {
    if (lstatSync(path).isSocket()) chmodSync(path, servesOthers ? 0o666 : 0o600);
  } catch {
    // Whom the mode lets through, the gate judges all the same.
  }
}
