/**
 * The files that the journal consists of: `<number>.jsonl` in one folder, numbered upwards, and the journal's own name.
 *
 * One line is one event. Only the newest file grows; one whose events are all in the database is deleted.
 */

import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemErrorCode } from '../base/errors.ts';

/** Is how far a journal was read: a segment and a number of bytes of it. */
export interface JournalPosition {
  readonly segment: number;
  readonly offset: number;
}

/** Is before everything. */
export const JOURNAL_START: JournalPosition = { segment: 0, offset: 0 };

/** Tells whether the first position is before the second. */
export function isBefore(a: JournalPosition, b: JournalPosition): boolean {
  return a.segment < b.segment || (a.segment === b.segment && a.offset < b.offset);
}

/** Returns the path of a segment. */
export function segmentPath(folder: string, segment: number): string {
  return join(folder, `${String(segment).padStart(10, '0')}.jsonl`);
}

/** Lists the numbers of the segments that are there, lowest first; none for a folder that is not there, or is none. */
export function listSegments(folder: string): number[] {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemErrorCode(error) ?? '')) return [];
    throw error;
  }
  return names
    .flatMap((name) => {
      const number = /^(\d{10})\.jsonl$/.exec(name)?.[1];
      return number === undefined ? [] : [Number(number)];
    })
    .sort((a, b) => a - b);
}

/** Returns the length of a segment in bytes; 0 for one that is not there. */
export function segmentBytes(folder: string, segment: number): number {
  return statSync(segmentPath(folder, segment), { throwIfNoEntry: false })?.size ?? 0;
}

/**
 * Makes the folder, mode 0700, and returns the journal's name, making it up the first time. The database remembers
 * under this name how far the journal was read, so that daemons which share one do not mistake each other's.
 */
export function openJournalFolder(folder: string): string {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, 'name');
  try {
    writeFileSync(path, randomUUID(), { flag: 'wx', mode: 0o600 });
  } catch (error) {
    if (systemErrorCode(error) !== 'EEXIST') throw error;
  }
  return readFileSync(path, 'utf8').trim();
}
