/**
 * Checks every second that the socket's path still leads to our socket. A socket that was removed or
 * replaced is reported and made anew, so that clients find the daemon again within two seconds.
 */

import { lstatSync } from 'node:fs';
import type { Clock } from '../base/clock.ts';
import { systemErrorCode } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';

/** Time between two checks, in milliseconds: one `lstat` costs some microseconds. */
const CHECK_MS = 1000;

/** What a guard needs. */
export interface SocketGuardOptions {
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
  readonly #options: SocketGuardOptions;
  #ours: string | undefined;
  #cancel: (() => void) | undefined;

  constructor(options: SocketGuardOptions) {
    this.#options = options;
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
    const { path, logger, restart, onLost } = this.#options;
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
    this.#cancel = this.#options.clock.after(CHECK_MS, () => {
      this.#schedule();
      void this.check();
    });
  }

  /** Returns what distinguishes two sockets at the same path, or undefined without one. */
  #identity(): string | undefined {
    try {
      const { dev, ino, birthtimeMs } = lstatSync(this.#options.path);
      return [dev, ino, birthtimeMs].join(' ');
    } catch (error) {
      return systemErrorCode(error) === 'ENOENT' ? undefined : this.#ours;
    }
  }
}
