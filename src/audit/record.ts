/**
 * One entry (line) of `audit.jsonl`, and how entries are chained: each carries the SHA-256 of the
 * line before it.
 *
 * An entry never holds a secret: a credential is named by its id. Foreign texts are cut and made
 * plain. After pruning the file begins with an anchor, which stands for what was removed. A later
 * `audit.prune` entry of the chain names the same place, so that an anchor cannot be made up
 * without breaking the chain.
 */

import { hash } from 'node:crypto';
import { isRecord, parseJson } from '../base/json.ts';
import { plainText } from '../base/plain-text.ts';

/**
 * The caller: what the kernel reports, and the name that the program gave itself. `startedAt`
 * (clock ticks since boot) distinguishes two processes of one pid.
 */
export interface AuditCaller {
  readonly uid: number | null;
  readonly pid: number | null;
  readonly startedAt: number | null;
  readonly executable: string | null;
  readonly name: string | null;
}

/** Outcome: a value left, something changed, the request was refused, or it failed. */
export type AuditOutcome = 'released' | 'changed' | 'refused' | 'failed';

/** A release or change, as it is recorded. */
export interface AuditEntry {
  readonly caller: AuditCaller | null;
  readonly operation: string;
  /**
   * Id of the credential, such as `openrouter/OPENROUTER_API_KEY_2`, or null where none is
   * concerned.
   */
  readonly credential: string | null;
  /** Organization that the credential belongs to; the default one without it. */
  readonly organization?: string;
  readonly outcome: AuditOutcome;
  /** Code of an error, or what changed in a few words. */
  readonly detail?: string;
}

/**
 * An entry as the chain has it. `at` is epoch milliseconds; `previous` is the hash of the line
 * before.
 */
export interface AuditRecord extends AuditEntry {
  readonly seq: number;
  readonly at: number;
  readonly previous: string;
}

/** First line of a pruned file: number and hash of the last entry that was removed. */
export interface AuditAnchor {
  readonly anchor: { readonly seq: number; readonly hash: string };
}

/** A place in the chain: number and hash of an entry. */
export interface ChainPlace {
  readonly seq: number;
  readonly hash: string;
}

/** Start of the chain: the place before the first entry. */
export const CHAIN_START: ChainPlace = { seq: 0, hash: '0'.repeat(64) };

/** Operation of the entry that records a prune; its detail is `printPlace` of the anchor. */
export const PRUNE_OPERATION = 'audit.prune';

const MAX_TEXT = 512;

/** Returns the hash of one line, given without its end; text is hashed as UTF-8. */
export function hashLine(line: string | Uint8Array): string {
  return hash('sha256', line);
}

/** Prints an entry as the line that follows `after`, without its end. */
export function printRecord(entry: AuditEntry, at: number, after: ChainPlace): string {
  // By hand: an entry comes again and again, and printing it anew would be most of the work.
  let printed = printedEntries.get(entry);
  if (printed === undefined) {
    printed = printEntry(entry);
    printedEntries.set(entry, printed);
  }
  return `{"seq":${after.seq + 1},"at":${at},${printed},"previous":"${after.hash}"}`;
}

/** Entries as they are printed; who records the same again passes the same object. */
const printedEntries = new WeakMap<AuditEntry, string>();

function printEntry({ caller, operation, credential, organization, outcome, detail }: AuditEntry): string {
  const who = caller === null ? 'null' : printCaller(caller);
  const how = detail === undefined ? '' : `,"detail":${printText(detail)}`;
  const what = `"operation":${printText(operation)},"credential":${printText(credential)}`;
  const where = organization === undefined ? '' : `,"organization":${printText(organization)}`;
  return `"caller":${who},${what}${where},"outcome":"${outcome}"${how}`;
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
  const value = parseJson(line);
  return isAnchor(value) || isAuditRecord(value) ? value : null;
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

function printText(text: string | null): string {
  return JSON.stringify(plain(text));
}

function plain(text: string | null): string | null {
  return text === null ? null : plainText(text, MAX_TEXT);
}

function isPlace(seq: unknown, lineHash: unknown): boolean {
  return typeof seq === 'number' && Number.isSafeInteger(seq) && typeof lineHash === 'string';
}

function isAnchor(value: unknown): value is AuditAnchor {
  return isRecord(value) && isRecord(value['anchor']) && isPlace(value['anchor']['seq'], value['anchor']['hash']);
}

function isAuditRecord(value: unknown): value is AuditRecord {
  return (
    isRecord(value) &&
    isPlace(value['seq'], value['previous']) &&
    typeof value['at'] === 'number' &&
    typeof value['operation'] === 'string' &&
    typeof value['outcome'] === 'string' &&
    (value['caller'] === null || isRecord(value['caller']))
  );
}
