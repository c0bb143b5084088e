/**
 * Finds where a chain goes on: the last whole line of an audit, and what a crash left half-written after it. And what else
 * the journal asks of its file.
 */

import { fstatSync, readSync, statSync, writeSync } from 'node:fs';
import { systemErrorCode } from '../base/errors.ts';
import { CHAIN_START, hashLine, parseLine, type ChainPlace } from './record.ts';

/** Is where the next line goes: after `place`, at byte `end`; `torn` bytes of an unfinished line follow it. */
export interface AuditTail {
  readonly place: ChainPlace;
  readonly end: number;
  readonly torn: number;
  /** Tells that the last whole line is no record, so that the chain cannot go on from it. */
  readonly unreadable: boolean;
}

/** Is longer than the longest line: every text in one is cut, at 512 characters of at most 6 bytes as JSON prints them. */
const TAIL_BYTES = 64 * 1024;

/** Reads the end of an open audit. */
export function readTail(fd: number): AuditTail {
  const { size } = fstatSync(fd);
  const buffer = Buffer.alloc(Math.min(size, TAIL_BYTES));
  const bytes = readSync(fd, buffer, 0, buffer.length, size - buffer.length);
  const window = buffer.subarray(0, bytes);
  const lastEnd = window.lastIndexOf(0x0a);
  const end = size - bytes + lastEnd + 1;
  if (lastEnd === -1) return { place: CHAIN_START, end: size - bytes, torn: bytes, unreadable: size > bytes };

  const before = window.lastIndexOf(0x0a, lastEnd - 1);
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

/** Writes all of it: a disk that is nearly full takes a part, and says so only at the next write. */
export function writeAll(fd: number, bytes: Buffer): void {
  for (let rest = bytes; rest.length > 0;) rest = rest.subarray(writeSync(fd, rest));
}

/** Tells whether a path leads to the open file; also yes where that cannot be looked at. */
export function leadsTo(path: string, fd: number): boolean {
  try {
    return statSync(path).ino === fstatSync(fd).ino;
  } catch (error) {
    return systemErrorCode(error) !== 'ENOENT' && systemErrorCode(error) !== 'ENOTDIR';
  }
}
