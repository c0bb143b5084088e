/**
 * Finds where a chain continues: the last whole entry of an audit, and what a crash left half-written after it. Also the
 * other things that the journal does with its file.
 */

import { fstatSync, readSync, statSync, writeSync } from 'node:fs';
import { systemErrorCode } from '../base/errors.ts';
import { identityOf } from '../base/file-signature.ts';
import { CHAIN_START, hashLine, parseLine, type ChainPlace } from './record.ts';

/** Where the next entry goes: after `place`, at byte `end`; `torn` bytes of an unfinished entry follow it. */
export interface AuditTail {
  readonly place: ChainPlace;
  readonly end: number;
  readonly torn: number;
  /** Whether the last whole line is not an entry, so that the chain cannot continue from it. */
  readonly unreadable: boolean;
}

/** Bytes that are read; more than the longest entry, whose texts are cut at 512 characters of at most 6 bytes as JSON. */
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
