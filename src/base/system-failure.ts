/**
 * Maps the codes of the file system to error codes, and to messages and hints for people.
 */

import { existsSync, statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { AipassError, systemErrorCode, type ErrorCode } from './errors.ts';
import { shellQuote } from './shell-quote.ts';

interface Meaning {
  readonly code: ErrorCode;
  /** Completes the path. */
  readonly reason: string;
  /** Returns what to do about the path, which is quoted for a shell. */
  readonly hint: (quoted: string, path: string) => string;
}

const NOT_PERMITTED: Meaning = {
  code: 'FORBIDDEN',
  reason: 'is not accessible to this user',
  hint: (quoted, path) =>
    lacksOwnMode(path)
      ? `chmod u+rwX ${quoted}`
      : `check its owner and mode, and those of the folders above it: ls -ld ${quoted}`,
};
const NO_ROOM: Meaning = {
  code: 'INTERNAL',
  reason: 'does not fit on its disk, which is full',
  hint: (_quoted, path) => `free some space, then try again: df -h ${shellQuote(existingPlace(path))}`,
};
const IN_THE_WAY: Meaning = {
  code: 'BAD_REQUEST',
  reason: 'cannot be made: a file is in the place of a folder',
  hint: (path) => `find the file among it and the folders above it, and move it away: ls -ld ${path}`,
};

/** A temporary file of ours, whose name means nothing to anybody. */
const TEMPORARY = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/;

/** Returns whether a path belongs to this user, whom its mode keeps out. */
function lacksOwnMode(path: string): boolean {
  try {
    const found = statSync(path);
    const needed = found.isDirectory() ? 0o700 : 0o600;
    return found.uid === process.geteuid?.() && (found.mode & needed) !== needed;
  } catch {
    // A folder above it may not be passed.
    return false;
  }
}

/** Returns a path, or the nearest folder above it that exists. */
function existingPlace(path: string): string {
  return existsSync(path) || dirname(path) === path ? path : existingPlace(dirname(path));
}

/** Returns the folder of a temporary file, and any other path as it is. */
function withoutTemporary(path: string | undefined): string | undefined {
  return path !== undefined && TEMPORARY.test(basename(path)) ? dirname(path) : path;
}

/** Maps the codes of errno(3) that a wrong, foreign or full disk gives. */
const MEANINGS: Readonly<Record<string, Meaning>> = {
  EACCES: NOT_PERMITTED,
  EPERM: NOT_PERMITTED,
  EROFS: {
    code: 'FORBIDDEN',
    reason: 'is on a read-only disk',
    hint: (path) => `mount it for writing, or choose another folder; see it with: findmnt -T ${path}`,
  },
  ENOSPC: NO_ROOM,
  EDQUOT: NO_ROOM,
  // Node gives this for a folder that cannot be made on a read-only disk, too.
  ENOENT: {
    code: 'NOT_FOUND',
    reason: 'cannot be made or opened: a folder above it is missing, or on a disk that cannot be written to',
    hint: (path) => `check the folders above it: findmnt -T ${path}`,
  },
  EISDIR: {
    code: 'BAD_REQUEST',
    reason: 'is a folder, where a file should be',
    hint: (path) => `move it away: mv ${path} ${path}.old`,
  },
  ENOTDIR: IN_THE_WAY,
  EEXIST: IN_THE_WAY,
};

/**
 * Returns the error for whatever was thrown. An AipassError stays as it is. A failure of the file
 * system gets the path, the reason and what to do. Anything else is INTERNAL.
 *
 * @param what beginning of the message: the action that failed.
 * @param path the place concerned, where the failure itself may not name it.
 */
export function describeFailure(what: string, error: unknown, path?: string): AipassError {
  if (error instanceof AipassError) return error;
  const code = systemErrorCode(error);
  const meaning = code !== undefined && Object.hasOwn(MEANINGS, code) ? MEANINGS[code] : undefined;
  if (!meaning) return new AipassError('INTERNAL', `${what}: ${code ?? String(error)}`, { cause: error });
  const named: unknown = error instanceof Error && 'path' in error ? error.path : undefined;
  const place = withoutTemporary(typeof named === 'string' ? named : path);
  return new AipassError(meaning.code, `${what}: ${place ?? 'a path'} ${meaning.reason} (${code})`, {
    hint: meaning.hint(shellQuote(place ?? '.'), place ?? '.'),
    cause: error,
  });
}
