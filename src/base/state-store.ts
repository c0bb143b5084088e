/**
 * What must outlive a restart and is no secret: one small document of named sections, `state.json`. Owns the lowdb and
 * write-file-atomic packages.
 *
 * Whoever keeps state binds a section: a function that returns it when the file is written. Writes are gathered, whole
 * and atomic (temporary file, fsync, rename), mode 0600. A file that cannot be read is put aside and reported; state is
 * never worth not starting for.
 */

import { mkdirSync, readFileSync, renameSync } from 'node:fs';
import { dirname } from 'node:path';
import { Low } from 'lowdb';
import writeFileAtomic from 'write-file-atomic';
import type { Clock } from './clock.ts';
import { systemErrorCode } from './errors.ts';
import type { Logger } from './logger.ts';
import type { Warning } from './warning.ts';

/** Is how long changes are gathered before they are written, in milliseconds. */
const GATHER_MS = 500;

/** Is how many times longer than the last collecting took changes are gathered, so that large state costs a twentieth of the time at most. */
const GATHER_FACTOR = 20;

type StateDocument = Record<string, unknown>;

/** Says where the state is kept. */
export interface StateStoreOptions {
  /** Is the path of `state.json`; its folder is made, mode 0700. */
  readonly path: string;
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'warn'>;
}

/** Keeps the sections of one file. */
export class StateStore {
  readonly #options: StateStoreOptions;
  readonly #bound = new Map<string, () => unknown>();
  readonly #warnings: Warning[] = [];
  #low: Low<StateDocument> | undefined;
  #cancelTimer: (() => void) | undefined;
  #writing: Promise<void> = Promise.resolve();
  #gatherMs = GATHER_MS;
  #isDirty = false;
  #hasFailed = false;

  constructor(options: StateStoreOptions) {
    this.#options = options;
  }

  /** Lists what was wrong with the file. */
  get warnings(): readonly Warning[] {
    return this.#warnings;
  }

  /** Reads the file; to be called once, before anything else. Never throws for what the file holds. */
  async open(): Promise<void> {
    const { path } = this.#options;
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    this.#low = new Low<StateDocument>(
      {
        read: () => Promise.resolve(this.#readFile()),
        write: (document) => writeFileAtomic(path, JSON.stringify(document), { mode: 0o600, fsync: true }),
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

  /** Has a section taken from a function whenever the file is written. */
  bind(name: string, save: () => unknown): void {
    this.#bound.set(name, save);
  }

  /** Notes that a bound section changed; the file is written soon. */
  changed(): void {
    this.#isDirty = true;
    this.#cancelTimer ??= this.#options.clock.after(this.#gatherMs, () => {
      this.#cancelTimer = undefined;
      this.#write();
    });
  }

  /** Writes what changed and waits until it is on disk. Rejects if that failed. */
  async flush(): Promise<void> {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#write();
    await this.#writing;
    if (this.#isDirty) throw new Error(`the state could not be written to ${this.#options.path}`);
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
      const start = this.#options.clock.monotonic();
      for (const [name, save] of this.#bound) low.data[name] = save();
      const writing = low.write();
      this.#gatherMs = Math.max(GATHER_MS, GATHER_FACTOR * (this.#options.clock.monotonic() - start));
      await writing;
      this.#hasFailed = false;
    } catch (error) {
      // What changed stays due: the next change, or the stop, tries again.
      this.#isDirty = true;
      const { path, logger } = this.#options;
      const reason = systemErrorCode(error) ?? 'unknown reason';
      if (!this.#hasFailed) logger.warn(`cannot write the state to ${path}: ${reason}`);
      this.#hasFailed = true;
    }
  }

  #readFile(): StateDocument | null {
    const { path } = this.#options;
    let text: string;
    try {
      text = readFileSync(path, 'utf8');
    } catch (error) {
      const code = systemErrorCode(error) ?? 'unknown reason';
      if (code !== 'ENOENT') {
        this.#warn(
          `cannot be read (${code}); rests and quotas of keys begin anew`,
          `make it readable: chmod 600 ${path}`,
        );
      }
      return null;
    }
    try {
      const document: unknown = JSON.parse(text);
      if (typeof document === 'object' && document !== null && !Array.isArray(document)) return { ...document };
    } catch {
      // Falls through: what is no JSON is put aside like what is no object.
    }
    this.#putAside(path);
    return null;
  }

  #putAside(path: string): void {
    const aside = `${path}.broken-${this.#options.clock.now()}`;
    try {
      renameSync(path, aside);
      this.#warn(
        `was not readable and is now ${aside}; rests and quotas of keys begin anew`,
        `look at it, then: rm ${aside}`,
      );
    } catch {
      this.#warn('is not readable; rests and quotas of keys begin anew', `remove it: rm ${path}`);
    }
  }

  #warn(problem: string, hint: string): void {
    const { path, logger } = this.#options;
    this.#warnings.push({ subject: path, problem, hint });
    logger.warn(`${path} ${problem}`);
  }
}
