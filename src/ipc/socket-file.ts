/**
 * The file of a socket and its folder. Owns the rules for path, modes and owner, and a guard, which
 * checks every second that the path still leads to our socket. A socket that was removed or
 * replaced is reported and made anew, so that clients find the daemon again within two seconds.
 *
 * A user who may write to the folder could replace our socket. Passing through it is harmless,
 * because the socket decides who may connect: mode 0711, which the host-wide unit sets, is as safe
 * as 0700.
 */

import { chmodSync, lstatSync, type Stats } from 'node:fs';
import { dirname } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { AipassError, systemErrorCode } from '../base/errors.ts';
import { identityOf } from '../base/file-signature.ts';
import { assertTrusted, OTHERS_READ, OTHERS_WRITE } from '../base/file-trust.ts';
import { makeFolder } from '../base/make-folder.ts';
import type { Logger } from '../base/logger.ts';
import { tooLongForSocket } from '../base/paths.ts';
import { describeFailure } from '../base/system-failure.ts';
import { repeat } from '../base/timers.ts';
import type { Warning } from '../base/warning.ts';

/** `sun_path` holds 108 bytes on Linux and 104 on macOS, with the final NUL. */
const MAX_PATH_BYTES = process.platform === 'darwin' ? 103 : 107;

/** Throws BAD_REQUEST for a path that is too long for a socket. */
export function assertSocketPath(path: string): void {
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) throw tooLongForSocket(path);
}

/** Returns the error for a path that the system refuses to bind. */
export function cannotListen(path: string, error: unknown): AipassError {
  const reason = error instanceof Error ? error.message : String(error);
  return new AipassError('INTERNAL', `cannot listen on ${path}: ${reason}`, {
    hint: `check ${dirname(path)}: it must be a folder of your own`,
    cause: error,
  });
}

/** Sets the mode of a bound socket. For a missing one the guard does. */
export function changeSocketMode(path: string, servesOthers: boolean): void {
  try {
    if (lstatSync(path).isSocket()) chmodSync(path, servesOthers ? 0o666 : 0o600);
  } catch {
    // The gate checks each peer in any case.
  }
}

/** Time between two checks, in milliseconds: one `lstat` costs some microseconds. */
const CHECK_MS = 1000;

export interface SocketGuardDeps {
  readonly path: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly restart: () => Promise<void>;
  /** Called for each lost socket, after it was made anew. */
  readonly onLost: (problem: string) => void;
}

/** Guard of one socket, which exists when the guard starts. */
export class SocketGuard {
  readonly #deps: SocketGuardDeps;
  #ours: string | undefined;

  constructor(deps: SocketGuardDeps) {
    this.#deps = deps;
  }

  /** Starts checking; the returned function stops it. */
  start(): () => Promise<void> {
    this.#ours = this.#identity();
    return repeat(this.#deps.clock, CHECK_MS, () => this.check());
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
      logger.error(`${problem}; it was created again`, { path });
      onLost(problem);
    } catch (error) {
      logger.error(`${problem}, and cannot be created again`, { path, error });
    }
  }

  /** Returns what distinguishes two sockets at the same path, or undefined without one. */
  #identity(): string | undefined {
    try {
      return identityOf(lstatSync(this.#deps.path, { bigint: true }));
    } catch (error) {
      return systemErrorCode(error) === 'ENOENT' ? undefined : this.#ours;
    }
  }
}

const OTHERS_PASS = 0o011;

/**
 * Makes the folder with mode 0700 if it is missing. The mode of an existing one is never changed,
 * because others may use a shared one, such as /tmp.
 *
 * @throws AipassError UNSAFE_PERMISSIONS if it belongs to another user, or if others may write to
 * it or, unless others are served, read it.
 */
export function makeRuntimeFolder(path: string, servesOthers: boolean): void {
  // Before it is made: a folder that root leaves in a user's place locks that user out.
  assertTrusted('the folder of the socket', dirname(path));
  let stats: Stats;
  try {
    makeFolder(path);
    stats = lstatSync(path);
  } catch (error) {
    throw describeFailure('cannot make the folder of the socket', error, path);
  }
  const problem = describeProblem(stats, servesOthers);
  if (problem === undefined) return;
  throw new AipassError('UNSAFE_PERMISSIONS', `the folder of the socket, ${path}, ${problem}`, {
    hint: 'set AIPASSD_RUNTIME_DIR to a folder of your own with mode 0700, for daemon and clients alike; a missing one is created',
  });
}

function describeProblem(stats: Stats, servesOthers: boolean): string | undefined {
  // The target of a link may change later.
  if (!stats.isDirectory()) return 'is a link, not a folder';
  const us = process.geteuid?.();
  if (us !== undefined && stats.uid !== us) return `belongs to another user (uid ${stats.uid})`;
  const mode = (stats.mode & 0o7777).toString(8).padStart(4, '0');
  if ((stats.mode & OTHERS_WRITE) !== 0) return `can be written to by other users (mode ${mode})`;
  if (!servesOthers && (stats.mode & OTHERS_READ) !== 0) return `can be read by other users (mode ${mode})`;
  return undefined;
}

/** Warns of a folder that keeps those users from the socket who are to be served. */
export function blockedPathWarnings(folder: string, servesOthers: boolean): Warning[] {
  if (!servesOthers) return [];
  for (let path = folder; ; path = dirname(path)) {
    const mode = lstatSync(path, { throwIfNoEntry: false })?.mode;
    if (mode !== undefined && (mode & OTHERS_PASS) === 0) {
      return [
        {
          subject: path,
          problem: '`access` lists other users, who cannot reach the socket through this folder',
          hint: `chmod 711 ${path}, or one daemon for the whole machine: sudo aipassd install --system`,
        },
      ];
    }
    if (path === dirname(path)) return [];
  }
}
