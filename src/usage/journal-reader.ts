/**
 * The other end of the journal: hands out its events in order, from where the database says it left off.
 *
 * A line that is no event (half written when the power went, or damaged) is counted and passed over.
 */

import { closeSync, openSync, readSync, rmSync, truncateSync } from 'node:fs';
import { systemErrorCode } from '../base/errors.ts';
import type { UsageEvent } from './event.ts';
import { parseEvents } from './journal-lines.ts';
import { listSegments, segmentBytes, segmentPath, type JournalPosition } from './segments.ts';

/** Is how much of a segment is read at once. */
const CHUNK_BYTES = 256 * 1024;

/** Is longer than any event; more without an end of line is damage. */
const MAX_LINE_BYTES = 64 * 1024;

const END_OF_LINE = 0x0a;

/** Is read into again and again: the journal is looked at before every question, and a new buffer each time would keep the garbage collector busy. */
const chunk = Buffer.alloc(CHUNK_BYTES);

/** Is one step through the journal: the events, where they end, and how many lines on the way were none. */
export interface JournalBatch {
  readonly events: readonly UsageEvent[];
  readonly end: JournalPosition;
  readonly damaged: number;
}

/** Reads some `limit` events after a position, whole lines of them; an empty batch whose end is the position means there is nothing new. */
export function readJournal(folder: string, position: JournalPosition, limit: number): JournalBatch {
  const segments = listSegments(folder).filter((segment) => segment >= position.segment);
  for (const segment of segments) {
    const offset = segment === position.segment ? position.offset : 0;
    const isNewest = segment === segments.at(-1);
    const batch = readSegment(folder, { segment, offset }, limit, isNewest);
    if (batch.end.offset > offset) return batch;
    // A finished segment is at its end: on to the next one.
  }
  return { events: [], end: position, damaged: 0 };
}

/** Deletes the segments before the one that is being read. */
export function deleteReadSegments(folder: string, position: JournalPosition): void {
  for (const segment of listSegments(folder)) {
    if (segment < position.segment) rmSync(segmentPath(folder, segment), { force: true });
  }
}

/** Empties the segment that was read to its end; its number stays, so that the next one has a higher one. */
export function emptyReadSegment(folder: string, position: JournalPosition): void {
  if (segmentBytes(folder, position.segment) === position.offset) truncateSync(segmentPath(folder, position.segment));
}

function readSegment(folder: string, from: JournalPosition, limit: number, isNewest: boolean): JournalBatch {
  const bytes = readChunk(segmentPath(folder, from.segment), from.offset);
  const events: UsageEvent[] = [];
  let damaged = 0;
  let start = 0;
  for (
    let end = bytes.indexOf(END_OF_LINE);
    end !== -1 && events.length < limit;
    end = bytes.indexOf(END_OF_LINE, start)
  ) {
    const found = parseEvents(bytes.toString('utf8', start, end));
    if (found) events.push(...found);
    else damaged++;
    start = end + 1;
  }
  // Without an end of line: still being written in the newest segment, never going to be finished in an older one.
  if (start === 0 && bytes.length > 0 && (!isNewest || bytes.length > MAX_LINE_BYTES)) {
    start = bytes.length;
    damaged++;
  }
  return { events, end: { segment: from.segment, offset: from.offset + start }, damaged };
}

function readChunk(path: string, offset: number): Buffer {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return Buffer.alloc(0);
    throw error;
  }
  try {
    return chunk.subarray(0, readSync(fd, chunk, 0, CHUNK_BYTES, offset));
  } finally {
    closeSync(fd);
  }
}
