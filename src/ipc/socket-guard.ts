/**
 * Looks every minute whether the socket's path still leads to our socket. One that was removed or replaced is reported
 * and made anew, so that a socket nobody can find, or that somebody else answers on, does not last.
 */

import { lstatSync } from 'node:fs';
import type { Clock } from '../base/clock.ts';
import { systemErrorCode } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';

const LOOK_MS = 60_000;

/** Says what a guard watches. */
export interface SocketGuardOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Makes the socket anew. */
  readonly restart: () => Promise<void>;
  /** Is told of each socket that was lost, after it was made anew. */
  readonly onLost: (problem: string) => void;
}

/** Watches one socket, which exists when the guard starts. */
export class SocketGuard {
  readonly #options: SocketGuardOptions;
  #ours: string | undefined;
  #cancel: (() => void) | undefined;

  constructor(options: SocketGuardOptions) {
    this.#options = options;
  }

  /** Starts looking; the returned function ends that. */
  start(): () => void {
    this.#ours = this.#identity();
    this.#schedule();
    return () => this.#cancel?.();
  }

  /** Looks now, and makes the socket anew where it is not ours. */
  async look(): Promise<void> {
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
    this.#cancel = this.#options.clock.after(LOOK_MS, () => {
      this.#schedule();
      void this.look();
    });
  }

  /** Returns what tells one socket from another at the same path, or undefined where there is none. */
  #identity(): string | undefined {
    try {
      const { dev, ino, birthtimeMs } = lstatSync(this.#options.path);
      return [dev, ino, birthtimeMs].join(' ');
    } catch (error) {
      return systemErrorCode(error) === 'ENOENT' ? undefined : this.#ours;
    }
  }
}
