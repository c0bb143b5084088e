/**
 * The file under the audit log. Holds the entries that wait to be written, as bytes, where the
 * chain continues, and whether the path still leads to the open file.
 */

import { writeSync, fstatSync, readSync, statSync } from 'node:fs';
import { systemErrorCode } from '../base/errors.ts';
import { identityOf } from '../base/file-signature.ts';
import { CHAIN_START, hashLine, parseLine, type ChainPlace } from './record.ts';

/** Size of the buffer, in bytes: the entries of one tick, some 200. It grows when needed. */
const ROOM_BYTES = 64 * 1024;

/** Maximum number of bytes that one UTF-16 unit takes in UTF-8. */
const MAX_BYTES_PER_UNIT = 3;

const END_OF_LINE = 0x0a;

/**
 * Entries that wait until a file takes them; encoded once, so that hashing and writing need not do
 * it again.
 */
export class LineBuffer {
  #bytes = Buffer.allocUnsafe(ROOM_BYTES);
  /** Beginning and end of the bytes that are not written yet. */
  #from = 0;
  #to = 0;

  /** Number of bytes that wait. */
  get waiting(): number {
    return this.#to - this.#from;
  }

  /**
   * Adds a line, given without its end, and returns its bytes, likewise; they are good until the
   * next call.
   */
  add(line: string): Uint8Array {
    this.#makeRoom(line.length * MAX_BYTES_PER_UNIT + 1);
    const start = this.#to;
    const end = start + this.#bytes.write(line, start);
    this.#bytes[end] = END_OF_LINE;
    this.#to = end + 1;
    return this.#bytes.subarray(start, end);
  }

  /**
   * Writes waiting bytes to the end of a file. Throws as `writeSync` does; what was not written
   * then still waits.
   */
  writeTo(fd: number): void {
    // A disk that is just full takes a part.
    while (this.#from < this.#to) this.#from += writeSync(fd, this.#bytes, this.#from, this.#to - this.#from);
    this.#from = 0;
    this.#to = 0;
    if (this.#bytes.length > ROOM_BYTES) this.#bytes = Buffer.allocUnsafe(ROOM_BYTES);
  }

  /**
   * Makes a line that a file took in part wait as a whole again, because the next file is another
   * one.
   */
  rewind(): void {
    if (this.#from > 0) this.#from = this.#bytes.lastIndexOf(END_OF_LINE, this.#from - 1) + 1;
  }

  #makeRoom(bytes: number): void {
    if (this.#to + bytes <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#to + bytes));
    this.#bytes.copy(larger, 0, 0, this.#to);
    this.#bytes = larger;
  }
}

/**
 * Where the next entry goes: after `place`, at byte `end`; `torn` bytes of an unfinished entry
 * follow it.
 */
export interface AuditTail {
  readonly place: ChainPlace;
  readonly end: number;
  readonly torn: number;
  /** Whether the last whole line is not an entry, so that the chain cannot continue from it. */
  readonly unreadable: boolean;
}

/**
 * Bytes that are read; more than the longest entry, whose texts are cut at 512 characters of at
 * most 6 bytes as JSON.
 */
const TAIL_BYTES = 64 * 1024;

/**
 * Finds where the chain of an open audit continues: its last whole entry, and what a crash left
 * half-written after it.
 */
export function readTail(fd: number): AuditTail {
  const { size } = fstatSync(fd);
  const buffer = Buffer.alloc(Math.min(size, TAIL_BYTES));
  const bytes = readSync(fd, buffer, 0, buffer.length, size - buffer.length);
  const window = buffer.subarray(0, bytes);
  const lastEnd = window.lastIndexOf(END_OF_LINE);
  const end = size - bytes + lastEnd + 1;
  if (lastEnd === -1) return { place: CHAIN_START, end: size - bytes, torn: bytes, unreadable: size > bytes };

  const before = window.lastIndexOf(END_OF_LINE, lastEnd - 1);
  const line = window.subarray(before + 1, lastEnd).toString('utf8');
  const parsed = lastEnd === 0 ? null : parseLine(line);
  const torn = size - end;
  if (parsed === null) return { place: CHAIN_START, end, torn, unreadable: true };
  if ('anchor' in parsed) return { place: parsed.anchor, end, torn, unreadable: false };
  return { place: { seq: parsed.seq, hash: hashLine(line) }, end, torn, unreadable: false };
}

/** Reads a stretch of an open file. */
export function readStretch(fd: number, offset: number, bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  return buffer.subarray(0, readSync(fd, buffer, 0, bytes, offset));
}

/** Writes everything: a disk that is nearly full takes a part, and fails only at the next write. */
export function writeAll(fd: number, bytes: Buffer): void {
  for (let rest = bytes; rest.length > 0;) rest = rest.subarray(writeSync(fd, rest));
}

/** Returns whether a path leads to the open file; also true where that cannot be determined. */
export function leadsTo(path: string, fd: number): boolean {
  try {
    return identityOf(statSync(path, { bigint: true })) === identityOf(fstatSync(fd, { bigint: true }));
  } catch (error) {
    return systemErrorCode(error) !== 'ENOENT' && systemErrorCode(error) !== 'ENOTDIR';
  }
}
