/**
 * The record of the last run, for people who ask why the daemon does not answer. It is one small
 * file in the state folder. It is written at the start, so that a run that is killed leaves a
 * record. It is written again when the run begins to stop, and at its end.
 *
 * A process is called dead only where no process of its pid and start time exists.
 */

import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { writeFileAtomicSync } from '../base/atomic-write.ts';
import { STOP_GRACE_MS } from '../base/dispose.ts';
import { checkTrust } from '../base/file-trust.ts';
import { parseJson, readField, readNumber, readString } from '../base/json.ts';
import { identifyProcess, isProcessAlive } from '../base/process-identity.ts';
import { shellQuote } from '../base/shell-quote.ts';

/** A run and its end. Times are epoch milliseconds. */
export interface RunRecord {
  readonly pid: number;
  /** Start of the process as the system gives it, or null; see ProcessIdentity. */
  readonly started: string | null;
  readonly startedAt: number;
  /** Path of the socket that the run serves. */
  readonly socket: string | null;
  /** Set once the run was asked to stop. */
  readonly stopping?: { readonly at: number; readonly reason: string };
  /** Null while the run lasts, and for ever where it was killed. */
  readonly end: { readonly at: number; readonly code: number; readonly reason: string } | null;
}

/** Latest time that a Date can hold, in epoch milliseconds. */
const MAX_TIME = 8.64e15;

/** Returns the record of this process, which serves a socket from now on. */
export function beginRun(socket: string): RunRecord {
  const started = identifyProcess(process.pid)?.started ?? null;
  return { pid: process.pid, started, startedAt: Date.now(), socket, end: null };
}

/** Writes the record. A disk that does not take it keeps no daemon from starting or stopping. */
export function writeRunRecord(path: string, record: RunRecord): void {
  try {
    // Not in a place of another user, who could not remove it.
    if (checkTrust(dirname(path)).kind === 'untrusted') return;
    writeFileAtomicSync(path, `${JSON.stringify(record)}\n`);
  } catch {
    // The log has what happened; this file only makes it easier to find.
  }
}

/** Reads the record; returns null where there is none that is valid. */
export function readRunRecord(path: string): RunRecord | null {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return null;
  }
  const value = parseJson(text);
  const pid = readNumber(value, 'pid');
  const startedAt = readTime(value, 'startedAt');
  if (pid === undefined || startedAt === undefined) return null;
  const end = readEnd(readField(value, 'end'));
  if (end === undefined) return null;
  const stopping = readStop(readField(value, 'stopping'));
  return {
    pid,
    started: readString(value, 'started') ?? null,
    startedAt,
    socket: readString(value, 'socket') ?? null,
    ...(stopping === undefined ? {} : { stopping }),
    end,
  };
}

/** Describes in one line how a run ended, or what it does now. */
export function describeRun(record: RunRecord): string {
  const { pid, startedAt, stopping, end } = record;
  const began = new Date(startedAt).toISOString();
  if (end !== null) {
    return `the last run (pid ${pid}) ended at ${new Date(end.at).toISOString()} with exit code ${end.code}: ${end.reason}`;
  }
  if (isProcessAlive(record)) {
    if (stopping !== undefined) {
      const grace = `${STOP_GRACE_MS / 1000} s`;
      return `the daemon (pid ${pid}) is stopping (${stopping.reason}): requests in flight get ${grace} to finish`;
    }
    const where = record.socket === null ? '' : ` and serves ${record.socket}`;
    return `the daemon (pid ${pid}, from ${began}) is running${where}`;
  }
  if (stopping !== undefined) {
    return `the last run (pid ${pid}, from ${began}) was killed while it stopped (${stopping.reason})`;
  }
  return `the last run (pid ${pid}, from ${began}) was killed, or the machine lost power`;
}

/**
 * Returns what to do about a daemon that does not answer on a socket although its process runs.
 * Undefined where its process does not run, and it has to be started.
 *
 * @param isThere whether the socket takes connections.
 */
export function hintForRun(record: RunRecord, socket: string, isThere: boolean): string | undefined {
  if (record.end !== null || !isProcessAlive(record)) return undefined;
  if (record.stopping !== undefined) return 'wait until it has ended, then start it again';
  if (record.socket !== null && record.socket !== socket) {
    return `ask it on its own socket: AIPASSD_RUNTIME_DIR=${shellQuote(dirname(record.socket))}`;
  }
  return isThere
    ? `it hangs; end it: kill -9 ${record.pid}`
    : `its socket is made again within seconds. If it still does not answer then, end it: kill -9 ${record.pid}`;
}

function readEnd(value: unknown): RunRecord['end'] | undefined {
  if (value === null) return null;
  const at = readTime(value, 'at');
  const code = readNumber(value, 'code');
  const reason = readString(value, 'reason');
  return at === undefined || code === undefined || reason === undefined ? undefined : { at, code, reason };
}

function readStop(value: unknown): RunRecord['stopping'] {
  const at = readTime(value, 'at');
  const reason = readString(value, 'reason');
  return at === undefined || reason === undefined ? undefined : { at, reason };
}

function readTime(value: unknown, name: string): number | undefined {
  const time = readNumber(value, name);
  return time !== undefined && Math.abs(time) <= MAX_TIME ? time : undefined;
}
