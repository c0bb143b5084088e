/**
 * The files that the journal consists of: `<number>.jsonl` in one folder, numbered upwards, and the journal's own name.
 *
 * One line is one event. Only the newest file grows; one whose events are all in the database is deleted.
 */

import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
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

/** Makes the folder, mode 0700. */
export function openJournalFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
}

/**
 * Returns the journal's name, making it up the first time. The database remembers under this name how far the journal
 * was read, so that daemons which share one do not mistake each other's. Only the usage thread asks for it.
 */
export function journalName(folder: string): string {
  const path = join(folder, 'name');
  let name = '';
  try {
    name = readFileSync(path, 'utf8').trim();
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
  }
  // An empty one is what a full disk leaves: two daemons of that name would skip each other's events.
  return name === '' ? renameJournal(folder) : name;
}

/** Gives the journal a new name, under which nothing of it was read, and returns it. */
export function renameJournal(folder: string): string {
  openJournalFolder(folder);
  const name = randomUUID();
  const draft = join(folder, 'name.new');
  writeFileSync(draft, name, { mode: 0o600 });
  renameSync(draft, join(folder, 'name'));
  return name;
}
