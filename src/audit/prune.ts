/**
 * Decides where a pruned audit begins: after the last line that is too old, or far enough in that the file is half as long
 * as it may be. Deciding only reads; the journal makes the change.
 */

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
