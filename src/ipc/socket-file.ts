/**
 * The file of a socket. Owns the rules for its path, its mode, and a guard, which checks every
 * second that the path still leads to our socket. A socket that was removed or replaced is reported
 * and made anew, so that clients find the daemon again within two seconds.
 */

import { lstatSync, chmodSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { systemErrorCode, AipassError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';

/**
 * Maximum length of a path: `sun_path` holds 108 bytes on Linux and 104 on macOS, with the final
 * NUL.
 */
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

/**
 * Sets the mode of a bound socket. If the socket is missing, the guard makes one with the right
 * mode.
 */
export function changeSocketMode(path: string, servesOthers: boolean): void {
  try {
    if (lstatSync(path).isSocket()) chmodSync(path, servesOthers ? 0o666 : 0o600);
  } catch {
    // The gate checks each peer in any case.
  }
}

/** Time between two checks, in milliseconds: one `lstat` costs some microseconds. */
const CHECK_MS = 1000;

/** What a guard needs. */
export interface SocketGuardDeps {
  readonly path: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Makes the socket anew. */
  readonly restart: () => Promise<void>;
  /** Called for each lost socket, after it was made anew. */
  readonly onLost: (problem: string) => void;
}

/** Guard of one socket, which exists when the guard starts. */
export class SocketGuard {
  readonly #deps: SocketGuardDeps;
  #ours: string | undefined;
  #cancel: (() => void) | undefined;

  constructor(deps: SocketGuardDeps) {
    this.#deps = deps;
  }

  /** Starts checking; the returned function stops it. */
  start(): () => void {
    this.#ours = this.#identity();
    this.#schedule();
    return () => this.#cancel?.();
  }

  /** Checks now, and makes the socket anew if it is not ours. */
  async check(): Promise<void> {
    const found = this.#identity();
    if (found === this.#ours) return;
    const problem = found === undefined ? 'the socket was removed' : 'another socket took the place of ours';
    const { path, logger, restart, onLost } = this.#deps;
    try {
      await restart();
      this.#ours = this.#identity();
      logger.error(`${problem}; it was made anew`, { path });
      onLost(problem);
    } catch (error) {
      logger.error(`${problem}, and cannot be made anew`, { path, error });
    }
  }

  #schedule(): void {
    this.#cancel = this.#deps.clock.after(CHECK_MS, () => {
      this.#schedule();
      void this.check();
    });
  }

  /** Returns what distinguishes two sockets at the same path, or undefined without one. */
  #identity(): string | undefined {
    try {
      const { dev, ino, birthtimeMs } = lstatSync(this.#deps.path);
      return [dev, ino, birthtimeMs].join(' ');
    } catch (error) {
      return systemErrorCode(error) === 'ENOENT' ? undefined : this.#ours;
    }
  }
}
