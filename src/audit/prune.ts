/**
 * Finds where a pruned audit begins. That is after the last entry that is too old, or where the
 * file is half as long as it may be. Also copies what stays; the journal replaces the file.
 */

import { createReadStream, fstatSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { readLines } from './lines.ts';
import { hashLine, parseLine, type ChainPlace } from './record.ts';

/** What is kept: entries since `before` (epoch milliseconds), and at most `maxBytes`. */
export interface PruneRule {
  readonly before: number;
  readonly maxBytes: number;
}

/** Where the kept part begins, and what is removed. */
export interface PruneCut {
  /** Offset of the first byte that stays. */
  readonly offset: number;
  /** Last entry that is removed; an anchor stands for it. */
  readonly place: ChainPlace;
  readonly records: number;
}

/** Finds the cut in a file of `size` bytes, or null where nothing is to be removed. */
export async function findCut(path: string, size: number, rule: PruneRule): Promise<PruneCut | null> {
  if (size === 0) return null;
  // Half, so that a full file is not rewritten for every entry that follows.
  const mustReach = size > rule.maxBytes ? size - Math.floor(rule.maxBytes / 2) : 0;
  let cut: PruneCut | null = null;
  let records = 0;
  for await (const line of readLines(path)) {
    if (!line.ended || line.end > size) break;
    const parsed = parseLine(line.text);
    // A broken line is evidence: it and what follows stay until the file is too long.
    if (parsed === null) {
      if (line.end >= mustReach) break;
      continue;
    }
    if ('anchor' in parsed) continue;
    if (parsed.at >= rule.before && line.end > mustReach) break;
    records += 1;
    cut = { offset: line.end, place: { seq: parsed.seq, hash: hashLine(line.text) }, records };
  }
  return cut;
}

/**
 * Rest that is copied at once while nothing else runs, in bytes: a few hundred microseconds' worth.
 */
const SMALL_BYTES = 256 * 1024;

/**
 * Copies an open audit from an offset on, except for a small rest of what is appended meanwhile;
 * returns where that begins.
 */
export async function copyMost(
  audit: { readonly path: string; readonly fd: number },
  copy: FileHandle,
  from: number,
): Promise<number> {
  let copied = from;
  for (let end = fstatSync(audit.fd).size; end > copied && (copied === from || end - copied > SMALL_BYTES);) {
    for await (const chunk of createReadStream(audit.path, { start: copied, end: end - 1 })) {
      if (chunk instanceof Buffer) await copy.writeFile(chunk);
    }
    copied = end;
    end = fstatSync(audit.fd).size;
  }
  return copied;
}
