/**
 * State that must outlive a restart and is not secret: one small document of named sections,
 * `state.json`. Owns the lowdb and write-file-atomic packages.
 *
 * A part with state binds a section: a function that returns it when the file is written. Changes
 * are gathered and written atomically, mode 0600. A file that cannot be read, or is not a
 * JSON object, is put aside and reported: the daemon starts without its state.
 *
 * The package write-file-atomic, which was asked for, makes the temporary file, waits for the disk
 * and renames. It takes the short write of a full disk for a whole one, and leaves the folder
 * unsynced. So the text is written here, and the folder synced as by atomic-write.ts.
 */

import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { Low } from 'lowdb';
import writeFileAtomic from 'write-file-atomic';
import { removeAbandoned, syncFolder } from './atomic-write.ts';
import type { Clock } from './clock.ts';
import { systemErrorCode } from './errors.ts';
import { isRecord, parseJson } from './json.ts';
import type { Logger } from './logger.ts';
import { makeFolder } from './make-folder.ts';
import { describeFailure } from './system-failure.ts';
import { shellQuote } from './shell-quote.ts';
import type { Warning } from './warning.ts';

/** Time over which changes are gathered before they are written, in milliseconds. */
const GATHER_MS = 500;

/**
 * Ratio of the gathering time to the time of the last save, so that saving takes at most a
 * twentieth.
 */
const GATHER_FACTOR = 20;

/** Replaces the file; throws the system's error, and the old one is then untouched. */
async function writeText(path: string, text: string): Promise<void> {
  await writeFileAtomic(path, '', {
    mode: 0o600,
    fsync: true,
    tmpfileCreated: (temporary) => writeFileSync(temporary, text),
  });
  await syncFolder(dirname(path));
}

type StateDocument = Record<string, unknown>;

export interface StateStoreDeps {
  /** Path of `state.json`; its folder is made, mode 0700. */
  readonly path: string;
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'warn'>;
}

export class StateStore {
  readonly #deps: StateStoreDeps;
  readonly #bound = new Map<string, () => unknown>();
  readonly #warnings: Warning[] = [];
  #low: Low<StateDocument> | undefined;
  #cancelTimer: (() => void) | undefined;
  #writing: Promise<void> = Promise.resolve();
  #gatherMs = GATHER_MS;
  #isDirty = false;
  /** Why the last write failed. */
  #failure: unknown;

  constructor(deps: StateStoreDeps) {
    this.#deps = deps;
  }

  get warnings(): readonly Warning[] {
    return this.#warnings;
  }

  /** Reads the file, once, before anything else. Never throws for what the file holds. */
  async open(): Promise<void> {
    const { path } = this.#deps;
    makeFolder(dirname(path));
    // Only one daemon writes here: what lies here now, a dead one left.
    await removeAbandoned(dirname(path), 0);
    this.#low = new Low<StateDocument>(
      {
        read: () => Promise.resolve(this.#readFile()),
        write: (document) => writeText(path, JSON.stringify(document)),
      },
      {},
    );
    await this.#low.read();
  }

  /** Returns a section as it was read or last saved, unchecked; undefined where there is none. */
  section(name: string): unknown {
    const document = this.#low?.data;
    return document && Object.hasOwn(document, name) ? document[name] : undefined;
  }

  /** Binds a section to the function that returns it whenever the file is written. */
  bind(name: string, save: () => unknown): void {
    this.#bound.set(name, save);
  }

  /** Marks that a bound section changed; the file is written soon. */
  changed(): void {
    this.#isDirty = true;
    this.#cancelTimer ??= this.#deps.clock.after(this.#gatherMs, () => {
      this.#cancelTimer = undefined;
      this.#write();
    });
  }

  /** Writes changes and waits until they are on disk. Rejects if that failed. */
  async flush(): Promise<void> {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#write();
    await this.#writing;
    if (this.#isDirty) throw describeFailure('cannot write the state', this.#failure, this.#deps.path);
  }

  #write(): void {
    this.#writing = this.#writeAfter(this.#writing);
  }

  async #writeAfter(earlier: Promise<void>): Promise<void> {
    await earlier;
    const low = this.#low;
    if (!low || !this.#isDirty) return;
    this.#isDirty = false;
    try {
      const start = this.#deps.clock.monotonic();
      for (const [name, save] of this.#bound) low.data[name] = save();
      const writing = low.write();
      this.#gatherMs = Math.max(GATHER_MS, GATHER_FACTOR * (this.#deps.clock.monotonic() - start));
      await writing;
      this.#failure = undefined;
    } catch (error) {
      // What changed stays due: the next change, or the stop, tries again.
      this.#isDirty = true;
      const { path, logger } = this.#deps;
      const reason = systemErrorCode(error) ?? 'unknown reason';
      if (this.#failure === undefined) logger.warn(`cannot write the state to ${path}: ${reason}`);
      this.#failure = error;
    }
  }

  #readFile(): StateDocument | null {
    const { path } = this.#deps;
    let text: string;
    try {
      text = readFileSync(path, 'utf8');
    } catch (error) {
      const code = systemErrorCode(error) ?? 'unknown reason';
      // The next save would replace it.
      if (code !== 'ENOENT') this.#putAside(path, `could not be read (${code})`);
      return null;
    }
    const document = parseJson(text);
    if (isRecord(document)) return { ...document };
    this.#putAside(path, 'is not a JSON object');
    return null;
  }

  #putAside(path: string, problem: string): void {
    const aside = `${path}.broken-${this.#deps.clock.now()}`;
    try {
      renameSync(path, aside);
      this.#warn(
        `${problem}: it is now ${aside}; cooldowns and quotas of keys begin anew`,
        `check it, then remove it: rm ${shellQuote(aside)}`,
      );
    } catch {
      this.#warn(`${problem}; cooldowns and quotas of keys begin anew`, `remove it: rm ${shellQuote(path)}`);
    }
  }

  #warn(problem: string, hint: string): void {
    const { path, logger } = this.#deps;
    this.#warnings.push({ subject: path, problem, hint });
    logger.warn(`${path} ${problem}`);
  }
}
