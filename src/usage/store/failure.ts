/**
 * Classifies failures of the database by the codes of SQLite and PostgreSQL, with what to do about
 * them. Pure.
 *
 * Messages of the drivers are not passed on: they can quote rows, and a connection address with its
 * password.
 */

import { AipassError, systemErrorCode } from '../../base/errors.ts';

/** Reasons why the database does not take events. */
type DatabaseFailureReason =
  'locked' | 'full' | 'read-only' | 'corrupt' | 'away' | 'refused' | 'newer' | 'untrusted' | 'broken';

export interface DatabaseFailure {
  readonly reason: DatabaseFailureReason;
  readonly code: string;
  readonly hint: string;
  /** True if the database works but refused this data; the same data will be refused again. */
  readonly refusesData: boolean;
}

const HINTS: Record<DatabaseFailureReason, string> = {
  locked: 'end the program that holds the usage database open for writing',
  full: 'make room on the disk of the usage database',
  'read-only': 'let this user write the usage database and its folder',
  corrupt: 'stop the daemon, move the usage database aside (a new one is made) or restore a copy of it',
  away: 'start PostgreSQL, or check the address in usage.database',
  refused: 'check user, password and rights in usage.database',
  newer: 'install the newer aipassd again, or set usage.database to another place',
  untrusted: 'let nobody but this user write the usage database and the folders above it',
  broken: 'see the log for the code of the failure',
};

/** Classifies a failed use of the database. */
export function databaseFailure(error: unknown): DatabaseFailure {
  const code = codeOf(error);
  const reason = reasonOf(code);
  return {
    reason,
    code,
    hint: (reason === 'untrusted' && error instanceof AipassError ? error.hint : undefined) ?? HINTS[reason],
    // 23505: two daemons wrote the same id at once, and the second try finds what the first one
    // wrote.
    refusesData: /^(?:22|23(?!505))...$|^SQLITE_(?:CONSTRAINT|MISMATCH|TOOBIG)/.test(code),
  };
}

/**
 * Messages with which pg reports, without a code, that it waited in vain or lost its connection.
 */
const LOST_CONNECTION =
  /^(?:timeout (?:exceeded|expired)|Connection terminated|Query read timeout|Client (?:has encountered a connection error|was closed))/;

function codeOf(error: unknown): string {
  if (error instanceof AipassError) return error.code;
  const code = systemErrorCode(error);
  if (code !== undefined) return code;
  return error instanceof Error && LOST_CONNECTION.test(error.message) ? 'ETIMEDOUT' : 'unknown';
}

/** Converts a failed use of the database to the error of a caller. */
export function asDatabaseError(error: unknown): AipassError {
  if (error instanceof AipassError) return error;
  const failure = databaseFailure(error);
  return new AipassError('INTERNAL', `the usage database cannot be used now: ${failure.reason} (${failure.code})`, {
    hint: `${failure.hint}; events are queued meanwhile and not lost`,
    cause: error,
  });
}

/**
 * Classifies SQLite's result codes (sqlite.org/rescode.html), PostgreSQL's SQLSTATEs (appendix A)
 * and Node's system codes.
 */
function reasonOf(code: string): DatabaseFailureReason {
  if (code === 'VERSION_MISMATCH') return 'newer';
  if (code === 'UNSAFE_PERMISSIONS') return 'untrusted';
  if (/^SQLITE_(?:BUSY|LOCKED)/.test(code) || code === '55P03') return 'locked';
  if (code.startsWith('SQLITE_FULL') || code === 'ENOSPC' || code === '53100') return 'full';
  if (/^SQLITE_(?:READONLY|CANTOPEN|PERM|AUTH)/.test(code) || /^(?:EACCES|EROFS|EPERM|25006)$/.test(code))
    return 'read-only';
  if (/^SQLITE_(?:CORRUPT|NOTADB)/.test(code) || /^XX00[12]$/.test(code)) return 'corrupt';
  if (/^(?:28...|42501|3D000)$/.test(code)) return 'refused';
  if (/^(?:08...|57...|53300|E(?:CONN|TIMEDOUT|NOTFOUND|AI_AGAIN|HOST|NET|PIPE).*)$/.test(code)) return 'away';
  return 'broken';
}
