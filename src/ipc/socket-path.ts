/**
 * Rules for the path of a socket, and errors for one that cannot be bound.
 */

import { chmodSync, lstatSync } from 'node:fs';
import { dirname } from 'node:path';
import { AipassError } from '../base/errors.ts';

/** Maximum length of a path: `sun_path` holds 108 bytes on Linux and 104 on macOS, with the final NUL. */
const MAX_PATH_BYTES = process.platform === 'darwin' ? 103 : 107;

/** Throws BAD_REQUEST for a path that is too long for a socket. */
export function assertSocketPath(path: string): void {
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) {
    throw new AipassError('BAD_REQUEST', `the socket's path is longer than ${MAX_PATH_BYTES} bytes: ${path}`, {
      hint: 'set AIPASSD_RUNTIME_DIR to a folder with a shorter path, for daemon and clients alike',
    });
  }
}

/** Returns the error for a path that the system refuses to bind. */
export function cannotListen(path: string, error: unknown): AipassError {
  const reason = error instanceof Error ? error.message : String(error);
  return new AipassError('INTERNAL', `cannot listen on ${path}: ${reason}`, {
    hint: `check ${dirname(path)}: it must be a folder of your own`,
    cause: error,
  });
}

/** Sets the mode of a bound socket. If the socket is missing, the guard makes one with the right mode. */
export function changeSocketMode(path: string, servesOthers: boolean): void {
  try {
    if (lstatSync(path).isSocket()) chmodSync(path, servesOthers ? 0o666 : 0o600);
  } catch {
    // The gate checks each peer in any case.
  }
}
