/**
 * The durable queue in front of the database: every event is a line in a file before its reply is
 * sent.
 *
 * The main thread writes (`Journal`), the usage thread reads (`readJournal`). The queue is a folder
 * of segments, `<number>.jsonl`, numbered upwards. Only the newest one grows, and one whose events
 * are all in the database is deleted. The events of a turn of the event loop are one write(2),
 * without waiting for the disk. The kernel keeps them when this process is killed. The disk is
 * synced once a second, so a power cut costs at most a second. Where the file cannot be written,
 * events wait in memory, bounded, and are written as soon as that works again.
 */

import { randomUUID } from 'node:crypto';
import {
  close,
  closeSync,
  fdatasync,
  fdatasyncSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomicSync } from '../base/atomic-write.ts';
import type { Clock } from '../base/clock.ts';
import { AipassError, systemErrorCode } from '../base/errors.ts';
import { isStill, readFileIdentitySync } from '../base/file-signature.ts';
import { makeFolder } from '../base/make-folder.ts';
import type { UsageEvent } from './event.ts';
import { parseEvents } from './journal-line.ts';

/** Size at which a new segment is begun, so that what the database has can be deleted. */
const SEGMENT_BYTES = 4 * 1024 * 1024;

const SYNC_EVERY_MS = 1000;
const RETRY_EVERY_MS = 1000;

/**
 * Maximum size of what waits in memory when no file takes it: some 100,000 calls, or millions of
 * releases.
 */
const MAX_WAITING_BYTES = 50 * 1024 * 1024;

/** Size of the piece of a segment that is read at once. */
const CHUNK_BYTES = 256 * 1024;

/** Maximum length of a line. A longer one is damage. */
const MAX_LINE_BYTES = 64 * 1024;

const END_OF_LINE = 0x0a;

/** Position up to which a journal was read: a segment and a number of bytes of it. */
export interface JournalPosition {
  readonly segment: number;
  readonly offset: number;
}

/** Position before the first segment. */
export const JOURNAL_START: JournalPosition = { segment: 0, offset: 0 };

/** Returns whether the first position is before the second. */
export function isBefore(a: JournalPosition, b: JournalPosition): boolean {
  return a.segment < b.segment || (a.segment === b.segment && a.offset < b.offset);
}

/** A line, and the number of events in it. */
interface Line<Text> {
  readonly text: Text;
  readonly events: number;
}

/** State of the journal's writing. */
export interface JournalState {
  /** Number of events that no file has taken yet. */
  readonly waitingInMemory: number;
  /** Number of events given up because memory was full too. */
  readonly lost: number;
  /** The system's reason why the file cannot be written, or null. */
  readonly failure: string | null;
  /** True if the file that was written to was removed, or moved away, since the start. */
  readonly removed: boolean;
}

/** The segment that is written to. */
interface OpenSegment {
  readonly fd: number;
  readonly segment: number;
  readonly path: string;
  readonly identity: string;
  size: number;
  /** Number of events in it. */
  events: number;
}

/** Appends lines to the newest segment. */
export class Journal {
  readonly #folder: string;
  readonly #clock: Clock;
  readonly #appended: (events: number) => void;
  #file: OpenSegment | undefined;
  #nextSegment = 0;
  #batch: Line<string>[] = [];
  #waiting: Line<Buffer>[] = [];
  #waitingBytes = 0;
  #lost = 0;
  #failure: string | null = null;
  #removed = false;
  #cancelRetry: (() => void) | undefined;
  #cancelSync: (() => void) | undefined;
  #closed = false;

  /** `appended` is called after each write with the number of events in it. */
  constructor(folder: string, clock: Clock, appended: (events: number) => void) {
    this.#folder = folder;
    this.#clock = clock;
    this.#appended = appended;
  }

  /**
   * Takes one line of JSON with a number of events. It is in the file after the next flush(), which
   * comes at the end of this turn of the event loop at the latest.
   */
  append(json: string, events = 1): void {
    if (this.#batch.length === 0) setImmediate(() => this.flush());
    this.#batch.push({ text: `${json}\n`, events });
  }

  /**
   * Writes the lines taken since the last flush, in one write. Never throws: what cannot be written
   * waits.
   */
  flush(): void {
    if (this.#batch.length === 0) return;
    const lines = this.#batch;
    this.#batch = [];
    const events = lines.reduce((sum, line) => sum + line.events, 0);
    const text = Buffer.from(lines.map((line) => line.text).join(''));
    // Where the file cannot be written, lines wait one by one: each fits where little room is left.
    if (this.#waiting.length > 0 || !this.#write({ text, events })) {
      for (const line of lines) this.#keep({ text: Buffer.from(line.text), events: line.events });
    }
  }

  state(): JournalState {
    this.flush();
    this.takeBackRemoved();
    return {
      waitingInMemory: this.#waitingEvents(),
      lost: this.#lost,
      failure: this.#failure,
      removed: this.#removed,
    };
  }

  /**
   * Writes what waits, and closes the file.
   *
   * @throws AipassError INTERNAL where events could not be written and are lost now.
   */
  close(): void {
    this.flush();
    this.#closed = true;
    this.#cancelRetry?.();
    this.#cancelSync?.();
    this.takeBackRemoved();
    this.#writeWaiting();
    if (this.#file) syncAndCloseNow(this.#file.fd);
    this.#file = undefined;
    const lost = this.#waitingEvents();
    if (lost === 0) return;
    this.#waiting = [];
    this.#lost += lost;
    throw new AipassError('INTERNAL', `the last ${lost} usage events are lost: ${this.#failure}`, {
      hint: `make room on the disk, or fix ${this.#folder}`,
    });
  }

  #keep(line: Line<Buffer>): void {
    if (this.#waitingBytes + line.text.length > MAX_WAITING_BYTES) {
      this.#lost += line.events;
      return;
    }
    this.#waiting.push(line);
    this.#waitingBytes += line.text.length;
    this.#retryLater();
  }

  #waitingEvents(): number {
    return this.#waiting.reduce((sum, { events }) => sum + events, 0);
  }

  #write({ text, events }: Line<Buffer>): boolean {
    try {
      const file = this.#openFile();
      const written = writeSync(file.fd, text);
      if (written < text.length) {
        // A disk that is just full takes half a line: it must not stay, or the next one would be
        // glued to it.
        ftruncateSync(file.fd, file.size);
        this.#failure = 'ENOSPC';
        return false;
      }
      file.size += written;
      file.events += events;
      this.#failure = null;
      this.#appended(events);
      this.#syncLater();
      return true;
    } catch (error) {
      this.#failure = systemErrorCode(error) ?? 'unknown reason';
      return false;
    }
  }

  /**
   * Returns the segment to write to; each run of the daemon begins its own, after all that are
   * there.
   */
  #openFile(): OpenSegment {
    if (this.#file && this.#file.size < SEGMENT_BYTES) return this.#file;
    this.takeBackRemoved();
    if (this.#file && this.#file.size < SEGMENT_BYTES) return this.#file;
    makeFolder(this.#folder);
    const segment = Math.max(this.#nextSegment, (listSegments(this.#folder).at(-1) ?? 0) + 1);
    const path = segmentPath(this.#folder, segment);
    const fd = openSync(path, 'ax+', 0o600);
    if (this.#file) syncAndClose(this.#file.fd);
    this.#nextSegment = segment + 1;
    this.#file = { fd, segment, path, identity: readFileIdentitySync(path), size: 0, events: 0 };
    return this.#file;
  }

  /**
   * Leaves a segment that was removed or moved away, because what is written to it would not be
   * read. Writes its lines again: the database may not have them yet, and takes no event twice.
   * Called once a second and before a question, because checking with each write would cost as much
   * as the write.
   */
  takeBackRemoved(): void {
    const file = this.#file;
    if (!file || isStill(file.path, file.identity)) return;
    this.#removed = true;
    this.#file = undefined;
    const bytes = Buffer.alloc(file.size);
    const text = bytes.subarray(0, readSync(file.fd, bytes, 0, file.size, 0));
    closeSync(file.fd);
    if (text.length === 0) return;
    const lines = { text, events: file.events };
    if (!this.#write(lines)) this.#keep(lines);
  }

  #retryLater(): void {
    if (this.#closed) return;
    this.#cancelRetry ??= this.#clock.after(RETRY_EVERY_MS, () => {
      this.#cancelRetry = undefined;
      this.#writeWaiting();
      if (this.#waiting.length > 0) this.#retryLater();
    });
  }

  #writeWaiting(): void {
    const failed = this.#waiting.findIndex((line) => !this.#write(line));
    this.#waiting = failed === -1 ? [] : this.#waiting.slice(failed);
    this.#waitingBytes = this.#waiting.reduce((sum, { text }) => sum + text.length, 0);
  }

  #syncLater(): void {
    this.#cancelSync ??= this.#clock.after(SYNC_EVERY_MS, () => {
      this.#cancelSync = undefined;
      // The segment of this moment: the one before it was synced when it was closed.
      if (this.#file) fdatasync(this.#file.fd, () => {});
      this.takeBackRemoved();
    });
  }
}

/** Syncs a segment to the disk and closes it, in the background. */
function syncAndClose(fd: number): void {
  // A disk that takes nothing fails here, and again at the next write, which reports it.
  fdatasync(fd, () => close(fd, () => {}));
}

/** Does the same at once, for the end of the process. */
function syncAndCloseNow(fd: number): void {
  try {
    fdatasyncSync(fd);
  } catch {
    // The kernel writes what it can on its own.
  }
  closeSync(fd);
}

/**
 * One step through the journal: the events, where they end, and the number of damaged lines on the
 * way.
 */
export interface JournalBatch {
  readonly events: readonly UsageEvent[];
  readonly end: JournalPosition;
  readonly damaged: number;
}

/**
 * Buffer that every read uses: the journal is read before every question, and new buffers would
 * keep the garbage collector busy. The thread that writes the journal has none.
 */
let chunk: Buffer | undefined;

/**
 * Reads about `limit` events after a position, whole lines of them; an empty batch whose end is the
 * position means that there is nothing new. A line that is not an event (half written when the
 * power went, or damaged) is counted and skipped.
 */
export function readJournal(folder: string, position: JournalPosition, limit: number): JournalBatch {
  const segments = listSegments(folder).filter((segment) => segment >= position.segment);
  for (const segment of segments) {
    const offset = segment === position.segment ? position.offset : 0;
    const isNewest = segment === segments.at(-1);
    const batch = readSegment(folder, { segment, offset }, limit, isNewest);
    if (batch.end.offset > offset) return batch;
    // The end of a finished segment: continue with the next one.
  }
  return { events: [], end: position, damaged: 0 };
}

/** Returns the size of what follows a position, in bytes; 0 where the folder cannot be read. */
export function journalBytesAfter(folder: string, position: JournalPosition): number {
  try {
    return listSegments(folder)
      .filter((segment) => segment >= position.segment)
      .map((segment) => segmentBytes(folder, segment) - (segment === position.segment ? position.offset : 0))
      .reduce((sum, bytes) => sum + Math.max(0, bytes), 0);
  } catch {
    return 0;
  }
}

/** Deletes the segments before the one that is being read. */
export function deleteReadSegments(folder: string, position: JournalPosition): void {
  for (const segment of listSegments(folder)) {
    if (segment < position.segment) rmSync(segmentPath(folder, segment), { force: true });
  }
}

/**
 * Empties the segment that was read to its end; its number stays, so that the next one has a higher
 * one.
 */
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
  // Without an end of line: still being written in the newest segment, never to be finished in an
  // older one.
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
    chunk ??= Buffer.alloc(CHUNK_BYTES);
    return chunk.subarray(0, readSync(fd, chunk, 0, CHUNK_BYTES, offset));
  } finally {
    closeSync(fd);
  }
}

export function segmentPath(folder: string, segment: number): string {
  return join(folder, `${String(segment).padStart(10, '0')}.jsonl`);
}

/**
 * Lists the numbers of the segments, lowest first; none where the folder is missing or not a
 * folder.
 */
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

function segmentBytes(folder: string, segment: number): number {
  return statSync(segmentPath(folder, segment), { throwIfNoEntry: false })?.size ?? 0;
}

/** Returns the path of the file that takes the events which the database refuses. */
export function refusedEventsPath(folder: string): string {
  return join(folder, 'refused.jsonl');
}

/**
 * Returns the journal's name, making it up the first time. The database remembers under this name
 * how far the journal was read, so that daemons which share one do not mistake each other's. Only
 * the usage thread asks for it.
 */
export function journalName(folder: string): string {
  const path = join(folder, 'name');
  let name = '';
  try {
    name = readFileSync(path, 'utf8').trim();
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
  }
  // An empty one is what a full disk leaves: two daemons of that name would skip each other's
  // events.
  return name === '' ? renameJournal(folder) : name;
}

/** Gives the journal a new name, under which nothing of it was read, and returns it. */
export function renameJournal(folder: string): string {
  makeFolder(folder);
  const name = randomUUID();
  writeFileAtomicSync(join(folder, 'name'), name);
  return name;
}
