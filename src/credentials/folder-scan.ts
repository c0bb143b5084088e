/**
 * One scan of the secrets folder: its problems, and the removals that a second scan must confirm.
 *
 * An editor that saves often truncates or deletes a file first. So a file that is suddenly gone or
 * empty keeps its held content until a scan 200 ms later finds the same. A broken or refused file
 * never removes what is held.
 */

import type { Warning } from '../base/warning.ts';
import { basename, dirname } from 'node:path';
import { checkEntry, checkTrust, currentUser, type TrustOutcome } from '../base/file-trust.ts';
import { readSecretFile } from './secret-file.ts';

/**
 * Time after which a removal or an empty file is accepted, in milliseconds: longer than an editor
 * takes to save.
 */
export const RECHECK_MS = 200;

/** Files that were found gone or empty: path → monotonic time of the first such scan. */
export type PendingRemovals = ReadonlyMap<string, number>;

/** What a scan starts from. */
export interface ScanOptions {
  readonly monotonicMs: number;
  readonly pendingRemovals: PendingRemovals;
  /** Accept at once that a file is gone or empty. */
  readonly trusting: boolean;
}

/** How the text of a file becomes held content. */
export interface Reading<Held> {
  /** Parses a text; without `held` the text is broken and `faults` give the reasons. */
  readonly parse: (
    text: string,
    bytes: Buffer,
  ) => { readonly held?: Held | undefined; readonly faults: readonly Warning[] };
  /** Holds content that is not text; without it such content is a fault. */
  readonly hold?: (bytes: Buffer) => Held;
  /** Whether an empty text must be confirmed by a second scan. */
  readonly recheckEmpty: boolean;
}

/** Results of one scan. */
export class FolderScan {
  readonly #start: ScanOptions;
  readonly #pendingRemovals = new Map<string, number>();
  readonly #folders = new Map<string, Promise<TrustOutcome>>();
  readonly #faults: Warning[] = [];
  readonly #notes: Warning[] = [];

  constructor(start: ScanOptions) {
    this.#start = start;
  }

  /** Removals that wait for confirmation. */
  get pendingRemovals(): PendingRemovals {
    return this.#pendingRemovals;
  }

  /** Problems: first those that keep content from being used, then the others. */
  get warnings(): readonly Warning[] {
    // A folder at fault is met again on the way to each file.
    const all = [...this.#faults, ...this.#notes];
    return [...new Map(all.map((one) => [`${one.subject}\n${one.problem}`, one])).values()];
  }

  /** Adds problems that keep content from being used. */
  addFaults(warnings: readonly Warning[]): void {
    this.#faults.push(...warnings);
  }

  /** Adds problems that do not keep content from being used. */
  addNotes(warnings: readonly Warning[]): void {
    this.#notes.push(...warnings);
  }

  /**
   * Checks by the rule of base/file-trust.ts that only this user and root can write a path; each
   * folder once a scan.
   */
  async check(path: string): Promise<TrustOutcome> {
    const folder = await this.checkFolder(dirname(path));
    return folder.kind === 'trusted' ? checkEntry(folder, basename(path)) : folder;
  }

  /** Checks a folder as `check` does. */
  checkFolder(path: string): Promise<TrustOutcome> {
    const known = this.#folders.get(path);
    if (known) return known;
    const outcome = checkTrust(path);
    this.#folders.set(path, outcome);
    return outcome;
  }

  /** Reads a file and returns what is held of it from now on, or undefined. */
  async read<Held>(path: string, held: Held | undefined, reading: Reading<Held>): Promise<Held | undefined> {
    const outcome = await readSecretFile(path, currentUser(), () => this.check(path), reading.hold !== undefined);
    if (outcome.kind === 'missing') return held !== undefined && this.#isPending(path) ? held : undefined;
    if (outcome.kind === 'binary' && reading.hold) {
      this.addNotes(outcome.warnings);
      return reading.hold(outcome.bytes);
    }
    if (outcome.kind !== 'read') {
      this.addFaults(outcome.warnings);
      return held;
    }
    this.addNotes(outcome.warnings);
    const emptied = reading.recheckEmpty && held !== undefined && outcome.text.trim() === '';
    if (emptied && this.#isPending(path)) return held;
    const parsed = reading.parse(outcome.text, outcome.bytes);
    this.addFaults(parsed.faults);
    return parsed.held ?? held;
  }

  #isPending(path: string): boolean {
    if (this.#start.trusting) return false;
    const since = this.#start.pendingRemovals.get(path) ?? this.#start.monotonicMs;
    if (this.#start.monotonicMs - since >= RECHECK_MS) return false;
    this.#pendingRemovals.set(path, since);
    return true;
  }
}
