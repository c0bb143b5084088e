/**
 * The durable queue in front of the database: every event is a line in a file before its reply is sent.
 *
 * One write(2) for the events of a tick, without waiting for the disk: the kernel keeps them when this process is killed. The
 * disk itself is told once a second, so a power cut costs at most a second. Where the file cannot be written either,
 * events wait in memory, bounded, and are written as soon as that works again.
 */

import { closeSync, fdatasync, fstatSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import type { Clock } from '../base/clock.ts';
import { AipassError, systemErrorCode } from '../base/errors.ts';
import { listSegments, openJournalFolder, segmentPath, type JournalPosition } from './segments.ts';

/** Is when a new segment is begun, so that what the database has can be deleted. */
const SEGMENT_BYTES = 4 * 1024 * 1024;

const SYNC_EVERY_MS = 1000;
const RETRY_EVERY_MS = 1000;

/** Bounds what waits in memory when no file takes it: some 100,000 calls, or millions of releases. */
const MAX_WAITING_BYTES = 50 * 1024 * 1024;

/** Is a line, and how many events it tells of. */
interface Line<Text> {
  readonly text: Text;
  readonly events: number;
}

/** Is what the journal has to say about itself. */
export interface JournalState {
  /** Counts the events that no file has taken yet. */
  readonly waitingInMemory: number;
  /** Counts the events given up because memory was full too. */
  readonly lost: number;
  /** Is the system's reason why the file cannot be written, or null. */
  readonly failure: string | null;
}

/** Appends lines to the newest segment. */
export class Journal {
  readonly #folder: string;
  readonly #clock: Clock;
  readonly #appended: (end: JournalPosition) => void;
  #file: { readonly fd: number; readonly segment: number; size: number } | undefined;
  #nextSegment = 0;
  #batch: Line<string>[] = [];
  #waiting: Line<Buffer>[] = [];
  #waitingBytes = 0;
  #lost = 0;
  #failure: string | null = null;
  #cancelRetry: (() => void) | undefined;
  #cancelSync: (() => void) | undefined;
  #closed = false;

  /** `appended` is told how far the journal reaches after each write. */
  constructor(folder: string, clock: Clock, appended: (end: JournalPosition) => void) {
    this.#folder = folder;
    this.#clock = clock;
    this.#appended = appended;
  }

  /** Takes one line of JSON, which tells of so many events; it is a line in the file after the next flush(), which comes at the end of this tick at the latest. */
  append(json: string, events = 1): void {
    if (this.#batch.length === 0) process.nextTick(() => this.flush());
    this.#batch.push({ text: `${json}\n`, events });
  }

  /** Writes the lines taken since the last flush, in one write. Never throws: what cannot be written waits. */
  flush(): void {
    if (this.#batch.length === 0) return;
    const lines = this.#batch;
    this.#batch = [];
    // Where the file is out of order, lines wait one by one: each fits where little room is left.
    if (this.#waiting.length > 0 || !this.#write(Buffer.from(lines.map(({ text }) => text).join('')))) {
      for (const line of lines) this.#keep(line);
    }
  }

  #keep(line: Line<string>): void {
    const text = Buffer.from(line.text);
    if (this.#waitingBytes + text.length > MAX_WAITING_BYTES) {
      this.#lost += line.events;
      return;
    }
    this.#waiting.push({ text, events: line.events });
    this.#waitingBytes += text.length;
    this.#retryLater();
  }

  state(): JournalState {
    this.flush();
    return { waitingInMemory: this.#waitingEvents(), lost: this.#lost, failure: this.#failure };
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
    this.#writeWaiting();
    if (this.#file) closeSync(this.#file.fd);
    this.#file = undefined;
    const lost = this.#waitingEvents();
    if (lost === 0) return;
    this.#waiting = [];
    this.#lost += lost;
    throw new AipassError('INTERNAL', `the last ${lost} usage events are lost: ${this.#failure}`, {
      hint: `make room on the disk, or mend ${this.#folder}`,
    });
  }

  #waitingEvents(): number {
    return this.#waiting.reduce((sum, { events }) => sum + events, 0);
  }

  #write(line: Buffer): boolean {
    try {
      const file = this.#openFile();
      const written = writeSync(file.fd, line);
      if (written < line.length) {
        // A disk that is just full takes half a line: it must not stay, or the next one would be glued to it.
        ftruncateSync(file.fd, file.size);
        this.#failure = 'ENOSPC';
        return false;
      }
      file.size += written;
      this.#failure = null;
      this.#appended({ segment: file.segment, offset: file.size });
      this.#syncLater(file.fd);
      return true;
    } catch (error) {
      this.#failure = systemErrorCode(error) ?? 'unknown reason';
      return false;
    }
  }

  /** Returns the segment to write to; each run of the daemon begins its own, after all that are there. */
  #openFile(): { readonly fd: number; readonly segment: number; size: number } {
    if (this.#file && this.#file.size < SEGMENT_BYTES) return this.#file;
    openJournalFolder(this.#folder);
    const segment = Math.max(this.#nextSegment, (listSegments(this.#folder).at(-1) ?? 0) + 1);
    const fd = openSync(segmentPath(this.#folder, segment), 'ax', 0o600);
    if (this.#file) closeSync(this.#file.fd);
    this.#nextSegment = segment + 1;
    this.#file = { fd, segment, size: 0 };
    return this.#file;
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
    const failed = this.#waiting.findIndex(({ text }) => !this.#write(text));
    this.#waiting = failed === -1 ? [] : this.#waiting.slice(failed);
    this.#waitingBytes = this.#waiting.reduce((sum, { text }) => sum + text.length, 0);
  }

  #syncLater(fd: number): void {
    this.#cancelSync ??= this.#clock.after(SYNC_EVERY_MS, () => {
      this.#cancelSync = undefined;
      // A segment closed meanwhile fails with EBADF, which costs nothing that matters: the kernel writes it on its own.
      fdatasync(fd, () => {});
      this.#leaveRemoved();
    });
  }

  /** Lets go of a segment that somebody removed: nobody would ever read what is written to it. */
  #leaveRemoved(): void {
    if (!this.#file || fstatSync(this.#file.fd).nlink > 0) return;
    closeSync(this.#file.fd);
    this.#file = undefined;
  }
}
