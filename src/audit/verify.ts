/**
 * Checks the chain of an audit, entry by entry, without holding the file in memory.
 *
 * It proves that no entry between the first and the last was changed, added or removed. It cannot
 * prove that none is missing at the end, unless the running daemon reports its last entry. Nor can
 * it prove that the whole file was not rewritten by somebody who may write it.
 */

import type { PlacedLine } from './lines.ts';
import { CHAIN_START, PRUNE_OPERATION, hashLine, parseLine, printPlace, type ChainPlace } from './record.ts';

/**
 * Result of a check; `line` counts from 1. With `cutShort` half an entry follows the last one, as a
 * crash leaves it.
 */
export type VerifyOutcome =
  | { readonly kind: 'intact'; readonly records: number; readonly last: ChainPlace; readonly cutShort: boolean }
  | { readonly kind: 'broken'; readonly line: number; readonly problem: string };

type Verifiable = Pick<PlacedLine, 'text' | 'ended'>;

/** Checks all entries of an audit; the one at `expected`, where it is given, must be among them. */
export async function verifyAudit(
  lines: AsyncIterable<Verifiable> | Iterable<Verifiable>,
  expected?: ChainPlace,
): Promise<VerifyOutcome> {
  let last = CHAIN_START;
  let number = 0;
  let records = 0;
  let cutShort = false;
  /** Detail that a later prune entry must have, where the file begins with an anchor. */
  let unproven: string | undefined;
  for await (const { text: line, ended } of lines) {
    // Only the last line can be without an end, and nothing was released for it.
    if (!ended) {
      cutShort = true;
      break;
    }
    number += 1;
    const broken = (problem: string): VerifyOutcome => ({ kind: 'broken', line: number, problem });
    const parsed = parseLine(line);
    if (parsed === null) return broken('is not an audit entry');
    if ('anchor' in parsed) {
      if (number !== 1) return broken('is an anchor, which only the first line may be');
      last = parsed.anchor;
      unproven = printPlace(parsed.anchor);
      continue;
    }
    if (parsed.seq !== last.seq + 1) return broken(`has number ${parsed.seq}, expected ${last.seq + 1}`);
    if (parsed.previous !== last.hash) return broken('does not carry the hash of the line before it');
    if (parsed.operation === PRUNE_OPERATION && parsed.detail === unproven) unproven = undefined;
    last = { seq: parsed.seq, hash: hashLine(line) };
    records += 1;
    if (last.seq === expected?.seq && last.hash !== expected.hash)
      return broken('is not the line that the daemon wrote');
  }
  if (expected !== undefined && last.seq < expected.seq) {
    return { kind: 'broken', line: number, problem: `is the last: lines up to number ${expected.seq} are missing` };
  }
  if (unproven !== undefined) {
    return { kind: 'broken', line: 1, problem: 'is an anchor that no prune of the chain accounts for' };
  }
  return { kind: 'intact', records, last, cutShort };
}
