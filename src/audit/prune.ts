/**
 * Decides where a pruned audit begins: after the last line that is too old, or far enough in that the file is half as long
 * as it may be. Deciding only reads; the journal makes the change, and has most of what stays copied here.
 */

import { createReadStream, fstatSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { readLines } from './lines.ts';
import { hashLine, parseLine, type ChainPlace } from './record.ts';

/** Says what is to be kept; `before` is epoch milliseconds. */
export interface PruneRule {
  readonly before: number;
  readonly maxBytes: number;
}

/** Is where the kept part begins, and what goes. */
export interface PruneCut {
  /** Is the offset of the first byte that stays. */
  readonly offset: number;
  /** Is the last line that goes; an anchor stands for it. */
  readonly place: ChainPlace;
  readonly records: number;
}

/** Finds the cut in a file of `size` bytes, or null where nothing is to go. */
export async function findCut(path: string, size: number, rule: PruneRule): Promise<PruneCut | null> {
  if (size === 0) return null;
  // Half, so that a full file is not rewritten for every line that follows.
  const mustReach = size > rule.maxBytes ? size - Math.floor(rule.maxBytes / 2) : 0;
  let cut: PruneCut | null = null;
  let records = 0;
  for await (const line of readLines(path)) {
    if (!line.ended || line.end > size) break;
    const parsed = parseLine(line.text);
    // A broken line is evidence: it and what follows stay until they are too many.
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

/** Is how much is left to be copied in one go while nothing else runs: a few hundred microseconds' worth. */
const SMALL_BYTES = 256 * 1024;

/** Copies an open audit from an offset on, but for a small rest of what is appended meanwhile; returns where that begins. */
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
