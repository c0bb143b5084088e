/**
 * One look at the secrets folder: what it found wrong, and what it does not believe yet.
 *
 * A file that is suddenly gone or empty is often an editor at work (truncate and write, delete and create), so what was
 * held of it stays until a second look, 200 ms later, says the same. A file that is broken or refused never takes away
 * what was held.
 */

import type { Warning } from '../base/warning.ts';
import { readSecretFile } from './secret-file.ts';

/** Is how long a vanished or emptied file must stay so to be believed, in milliseconds: longer than an editor takes to save. */
export const RECHECK_MS = 200;

/** Maps the path of a file to the monotonic time at which it was first seen gone or empty. */
export type PendingRemovals = ReadonlyMap<string, number>;

/** Says what a look starts from. */
export interface ScanOptions {
  readonly monotonicMs: number;
  readonly pendingRemovals: PendingRemovals;
  /** Tells to believe at once that a file is gone or empty. */
  readonly trusting: boolean;
}

/** Says how to make something of a file's text. */
export interface Reading<Held> {
  /** Makes the new content of a text; undefined means that the text is broken and `fault` says why. */
  readonly parse: (text: string) => { readonly held?: Held | undefined; readonly faults: readonly Warning[] };
  /** Tells whether an empty text is worth a second look before it is believed. */
  readonly recheckEmpty: boolean;
}

/** Collects what one look found. */
export class FolderScan {
  readonly #start: ScanOptions;
  readonly #pendingRemovals = new Map<string, number>();
  readonly #faults: Warning[] = [];
  readonly #notes: Warning[] = [];

  constructor(start: ScanOptions) {
    this.#start = start;
  }

  /** Lists what was not believed. */
  get pendingRemovals(): PendingRemovals {
    return this.#pendingRemovals;
  }

  /** Lists what is wrong: first what keeps content from being used, then what should be mended all the same. */
  get warnings(): readonly Warning[] {
    return [...this.#faults, ...this.#notes];
  }

  /** Adds what keeps content from being used. */
  addFaults(warnings: readonly Warning[]): void {
    this.#faults.push(...warnings);
  }

  /** Adds what should be mended, though everything is used. */
  addNotes(warnings: readonly Warning[]): void {
    this.#notes.push(...warnings);
  }

  /** Reads a file and returns what is held of it from now on; undefined means nothing. */
  async read<Held>(path: string, held: Held | undefined, reading: Reading<Held>): Promise<Held | undefined> {
    const outcome = await readSecretFile(path);
    if (outcome.kind === 'missing') return held !== undefined && this.#isPending(path) ? held : undefined;
    if (outcome.kind !== 'read') {
      this.addFaults(outcome.warnings);
      return held;
    }
    this.addNotes(outcome.warnings);
    const emptied = reading.recheckEmpty && held !== undefined && outcome.text.trim() === '';
    if (emptied && this.#isPending(path)) return held;
    const parsed = reading.parse(outcome.text);
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
