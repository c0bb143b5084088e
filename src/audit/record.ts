/**
 * One line of `audit.jsonl`, and how lines are chained: each carries the SHA-256 of the line before it, byte for byte.
 *
 * A record never holds a secret: a credential is named by its id. Texts of strangers are cut and made plain.
 * After pruning the file begins with an anchor, which stands for what is gone; a later `audit.prune` line of the chain
 * names the same place, so that an anchor cannot be made up without breaking the chain.
 */

import { hash } from 'node:crypto';
import { plainText } from '../base/plain-text.ts';

/** Is who asked: what the kernel says, and what the program calls itself. `startedAt` tells two processes of one pid apart (clock ticks since boot). */
export interface AuditCaller {
  readonly uid: number | null;
  readonly pid: number | null;
  readonly startedAt: number | null;
  readonly executable: string | null;
  readonly name: string | null;
}

/** Is how it ended: a value left, something changed, it was refused, or it failed. */
export type AuditOutcome = 'released' | 'changed' | 'refused' | 'failed';

/** Is what is written about one release or change. */
export interface AuditEntry {
  readonly caller: AuditCaller | null;
  readonly operation: string;
  /** Is the id of the credential, such as `openrouter/OPENROUTER_API_KEY_2`, or null where none is concerned. */
  readonly credential: string | null;
  readonly outcome: AuditOutcome;
  /** Is an error's code, or what changed in a few words. */
  readonly detail?: string;
}

/** Is one line of the chain. `at` is epoch milliseconds; `previous` is the hash of the line before. */
export interface AuditRecord extends AuditEntry {
  readonly seq: number;
  readonly at: number;
  readonly previous: string;
}

/** Is the first line of a pruned file: the last line that is gone, by number and hash. */
export interface AuditAnchor {
  readonly anchor: { readonly seq: number; readonly hash: string };
}

/** Names a place in the chain: a line's number and hash. */
export interface ChainPlace {
  readonly seq: number;
  readonly hash: string;
}

/** Is the place before the first line of all. */
export const CHAIN_START: ChainPlace = { seq: 0, hash: '0'.repeat(64) };

/** Is the operation's name of the line that stands for a prune; its detail is `printPlace` of the anchor. */
export const PRUNE_OPERATION = 'audit.prune';

const MAX_TEXT = 512;

/** Returns the hash of one line, given without its end; text is hashed as UTF-8. */
export function hashLine(line: string | Uint8Array): string {
  return hash('sha256', line);
}

/** Prints an entry as the line that follows `after`, without its end. */
export function printRecord(entry: AuditEntry, at: number, after: ChainPlace): string {
  // By hand: a caller comes again and again, and printing it anew would be most of the work.
  const caller = entry.caller === null ? 'null' : printCaller(entry.caller);
  const detail = entry.detail === undefined ? '' : `,"detail":${printText(entry.detail)}`;
  const what = `"operation":${printText(entry.operation)},"credential":${printText(entry.credential)}`;
  return `{"seq":${after.seq + 1},"at":${at},"caller":${caller},${what},"outcome":"${entry.outcome}"${detail},"previous":"${after.hash}"}`;
}

/** Prints the anchor that stands for everything up to a place. */
export function printAnchor(place: ChainPlace): string {
  return JSON.stringify({ anchor: { seq: place.seq, hash: place.hash } } satisfies AuditAnchor);
}

/** Prints a place as an `audit.prune` line names it. */
export function printPlace(place: ChainPlace): string {
  return `through ${place.seq} ${place.hash}`;
}

/** Reads one line, or returns null for one that is neither a record nor an anchor. */
export function parseLine(line: string): AuditRecord | AuditAnchor | null {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return null;
  }
  return isAnchor(value) || isRecord(value) ? value : null;
}

const printedCallers = new WeakMap<AuditCaller, string>();

function printCaller(caller: AuditCaller): string {
  let printed = printedCallers.get(caller);
  if (printed === undefined) {
    const { uid, pid, startedAt, executable, name } = caller;
    printed = JSON.stringify({ uid, pid, startedAt, executable: plain(executable), name: plain(name) });
    printedCallers.set(caller, printed);
  }
  return printed;
}

/** Remembers how texts are printed: names of operations and credentials are few. */
const printedTexts = new Map<string, string>();
const MAX_PRINTED = 1000;

function printText(text: string | null): string {
  if (text === null) return 'null';
  let printed = printedTexts.get(text);
  if (printed === undefined) {
    printed = JSON.stringify(plain(text));
    if (printedTexts.size >= MAX_PRINTED) printedTexts.clear();
    printedTexts.set(text, printed);
  }
  return printed;
}

function plain(text: string | null): string | null {
  return text === null ? null : plainText(text, MAX_TEXT);
}

function isFields(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

function isPlace(seq: unknown, lineHash: unknown): boolean {
  return typeof seq === 'number' && Number.isSafeInteger(seq) && typeof lineHash === 'string';
}

function isAnchor(value: unknown): value is AuditAnchor {
  return isFields(value) && isFields(value['anchor']) && isPlace(value['anchor']['seq'], value['anchor']['hash']);
}

function isRecord(value: unknown): value is AuditRecord {
  return (
    isFields(value) &&
    isPlace(value['seq'], value['previous']) &&
    typeof value['at'] === 'number' &&
    typeof value['operation'] === 'string' &&
    typeof value['outcome'] === 'string' &&
    (value['caller'] === null || isFields(value['caller']))
  );
}
