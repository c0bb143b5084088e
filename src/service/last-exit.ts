/**
 * How the last run ended, for the one who asks why the daemon is not running: one small file in the state folder, written
 * at the start (so that a run that is killed leaves word), when it begins to stop, and at the end.
 */

import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { systemErrorCode } from '../base/errors.ts';

/** Is a run and its end. Times are epoch milliseconds. */
export interface RunRecord {
  readonly pid: number;
  readonly startedAt: number;
  /** Is there once it was told to stop. */
  readonly stopping?: { readonly at: number; readonly reason: string };
  /** Is null while the run lasts, and for ever where it was killed. */
  readonly end: { readonly at: number; readonly code: number; readonly reason: string } | null;
}

/** Returns where the record is kept. */
export function runRecordPath(stateFolder: string): string {
  return join(stateFolder, 'last-run.json');
}

/** Writes the record; a disk that does not take it is no reason not to start or stop. */
export function writeRunRecord(path: string, record: RunRecord): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeFileSync(`${path}.tmp`, `${JSON.stringify(record)}\n`, { mode: 0o600 });
    renameSync(`${path}.tmp`, path);
  } catch {
    // The log has what happened; this file only says it sooner.
  }
}

/** Reads the record; null where there is none that can be understood. */
export function readRunRecord(path: string): RunRecord | null {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return isRunRecord(value) ? value : null;
  } catch {
    return null;
  }
}

/** Is how long a stop can last at most: the units' TimeoutStopSec. Past it, a process of that pid is another. */
const LONGEST_STOP_MS = 20_000;

/** Says in one line how a run ended, or that it is about to. */
export function describeRun(record: RunRecord): string {
  const began = new Date(record.startedAt).toISOString();
  const { stopping } = record;
  if (record.end === null && stopping !== undefined) {
    if (Date.now() - stopping.at <= LONGEST_STOP_MS && isAlive(record.pid)) {
      return `the daemon (pid ${record.pid}) is stopping (${stopping.reason}): requests in flight get 10 s to finish`;
    }
    return `the last run (pid ${record.pid}, from ${began}) was killed while it stopped (${stopping.reason})`;
  }
  if (record.end === null) return `the last run (pid ${record.pid}, from ${began}) was killed or lost its power`;
  const { at, code, reason } = record.end;
  return `the last run (pid ${record.pid}) ended at ${new Date(at).toISOString()} with ${code}: ${reason}`;
}

function isRunRecord(value: unknown): value is RunRecord {
  if (typeof value !== 'object' || value === null || !('end' in value)) return false;
  const { end } = value;
  if (!hasNumbers(value, 'pid', 'startedAt')) return false;
  if ('stopping' in value && !(hasNumbers(value.stopping, 'at') && hasReason(value.stopping))) return false;
  return end === null || (hasNumbers(end, 'at', 'code') && hasReason(end));
}

function hasReason(value: unknown): boolean {
  return typeof Reflect.get(Object(value), 'reason') === 'string';
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return systemErrorCode(error) === 'EPERM';
  }
}

function hasNumbers(value: unknown, ...names: readonly string[]): boolean {
  return (
    typeof value === 'object' &&
    value !== null &&
    names.every((name) => {
      const field: unknown = Reflect.get(value, name);
      // Beyond this no Date can say it.
      return typeof field === 'number' && Number.isFinite(field) && Math.abs(field) <= 8.64e15;
    })
  );
}
