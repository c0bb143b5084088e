/**
 * Keeps the database open, brings the journal into it, and does what is asked of it: one thing at a time.
 *
 * A database that fails is closed and opened again, later and later up to half a minute; meanwhile the journal keeps
 * what happens. Events that the database refuses for what they hold are put aside, or they would block all others.
 */

import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '../base/clock.ts';
import type { UsageEvent } from './event.ts';
import { deleteReadSegments, emptyReadSegment, readJournal, type JournalBatch } from './journal-reader.ts';
import { journalName, JOURNAL_START, listSegments, renameJournal, type JournalPosition } from './segments.ts';
import type { PruneCutoffs } from './store/prune.ts';
import { databaseFailure, type DatabaseFailure } from './store/failure.ts';
import { openConnection } from './store/open.ts';
import { UsageStore, type StoreCalls } from './store/usage-store.ts';

/** Is how many events are written at once: a few milliseconds, so that a question in between does not wait long. */
const BATCH_EVENTS = 256;

/** Bounds how long a question waits for events that came before it. */
const CATCH_UP_MS = 1000;

const FIRST_RETRY_MS = 250;
const LAST_RETRY_MS = 30_000;

/** Is how the database is, and how far the journal is in it. */
export interface RunnerState {
  readonly failure: DatabaseFailure | null;
  readonly open: boolean;
  readonly position: JournalPosition;
  readonly damaged: number;
}

/** Says where things are and who is told of changes. */
export interface RunnerOptions {
  readonly database: string;
  readonly journalFolder: string;
  readonly clock: Clock;
  readonly report: (state: RunnerState) => void;
}

/** Runs the store. */
export class StoreRunner {
  readonly #options: RunnerOptions;
  #store: UsageStore | undefined;
  #journal = '';
  #position = JOURNAL_START;
  #failure: DatabaseFailure | null = null;
  #damaged = 0;
  #retryMs = FIRST_RETRY_MS;
  #cancelRetry: (() => void) | undefined;
  #draining = false;
  #closed = false;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: RunnerOptions) {
    this.#options = options;
  }

  /** Brings in what is new in the journal, unless a failed database is waited for. */
  wake(): void {
    if (this.#draining || this.#closed || this.#cancelRetry) return;
    this.#draining = true;
    void this.#drain().finally(() => {
      this.#draining = false;
    });
  }

  /** Does one call, after the events that came before it. Rejects with the database's own error. */
  call<Name extends keyof StoreCalls>(
    name: Name,
    params: StoreCalls[Name]['params'],
  ): Promise<StoreCalls[Name]['result']> {
    return this.#inTurn(async () => {
      const store = await this.#caughtUp();
      return store.calls[name](params);
    });
  }

  /** Prunes, giving everybody else a turn after each slice; returns how many events and totals went. */
  async prune(cutoffs: PruneCutoffs): Promise<{ events: number; totals: number }> {
    const deleted = { events: 0, totals: 0, other: 0 };
    const steps = await this.#inTurn(async () => (await this.#caughtUp()).pruneSteps(cutoffs));
    for (;;) {
      const step = await this.#inTurn(() => steps.next());
      if (step.done === true || this.#closed) return { events: deleted.events, totals: deleted.totals };
      deleted[step.value.kind] += step.value.deleted;
      await nextTurn();
    }
  }

  /** Brings in what it can at once, and closes the database; `last` tells that nobody writes the journal any more. */
  async close(last: boolean): Promise<void> {
    this.#cancelRetry?.();
    await this.#inTurn(async () => {
      try {
        if (!this.#failure) await this.#caughtUp();
        if (last) emptyReadSegment(this.#options.journalFolder, this.#position);
      } catch {
        // It stays in the journal for the next run.
      }
      this.#closed = true;
      this.#cancelRetry?.();
      await this.#store?.close();
      this.#store = undefined;
    });
  }

  async #drain(): Promise<void> {
    for (let more = true; more && !this.#closed;) {
      more = await this.#inTurn(() => this.#step());
      await nextTurn();
    }
  }

  /** Brings in one batch; returns whether there may be more. */
  async #step(): Promise<boolean> {
    if (this.#closed) return false;
    try {
      const store = await this.#opened();
      const batch = readJournal(this.#options.journalFolder, this.#position, BATCH_EVENTS);
      if (batch.end === this.#position) {
        this.#works();
        return false;
      }
      await this.#write(store, batch);
      this.#damaged += batch.damaged;
      if (batch.end.segment !== this.#position.segment) deleteReadSegments(this.#options.journalFolder, batch.end);
      this.#position = batch.end;
      this.#works();
      return true;
    } catch (error) {
      await this.#failed(error);
      return false;
    }
  }

  async #write(store: UsageStore, batch: JournalBatch): Promise<void> {
    const place = { journal: this.#journal, end: batch.end };
    try {
      await store.write({ events: batch.events, ...place });
    } catch (error) {
      if (!databaseFailure(error).refusesData) throw error;
      for (const event of batch.events) await this.#writeOrPutAside(store, event);
      await store.write({ events: [], ...place });
    }
  }

  async #writeOrPutAside(store: UsageStore, event: UsageEvent): Promise<void> {
    try {
      await store.write({ events: [event], journal: null, end: JOURNAL_START });
    } catch (error) {
      if (!databaseFailure(error).refusesData) throw error;
      const path = join(this.#options.journalFolder, 'refused.jsonl');
      appendFileSync(path, `${JSON.stringify(event)}\n`, { mode: 0o600 });
      this.#damaged++;
    }
  }

  async #opened(): Promise<UsageStore> {
    if (this.#store) return this.#store;
    const { database, journalFolder } = this.#options;
    this.#journal = journalName(journalFolder);
    const store = new UsageStore(await openConnection(database));
    this.#position = await store.position(this.#journal);
    // Segments are deleted only below the position: if all are below it, the folder was emptied and counts from 1 again.
    if ((listSegments(journalFolder).at(-1) ?? 0) < this.#position.segment) {
      this.#journal = renameJournal(journalFolder);
      this.#position = JOURNAL_START;
    }
    this.#store = store;
    return store;
  }

  /** Returns the store after the events that wait, as far as they can be brought in quickly. */
  async #caughtUp(): Promise<UsageStore> {
    const started = this.#options.clock.monotonic();
    // It may work again before the next try is due. A database that takes nothing may still be read.
    if (this.#failure && !(await this.#step())) return this.#openedOrFailed();
    while (await this.#step()) {
      if (this.#options.clock.monotonic() - started > CATCH_UP_MS) break;
    }
    return this.#openedOrFailed();
  }

  async #openedOrFailed(): Promise<UsageStore> {
    try {
      return await this.#opened();
    } catch (error) {
      await this.#failed(error);
      throw error;
    }
  }

  /** Notes that the database takes what it is given, or would if there were anything. */
  #works(): void {
    this.#failure = null;
    this.#retryMs = FIRST_RETRY_MS;
    this.#report();
    if (!this.#cancelRetry) return;
    // A question found out before the retry did, and may leave events to be brought in.
    this.#cancelRetry();
    this.#cancelRetry = undefined;
    this.wake();
  }

  async #failed(error: unknown): Promise<void> {
    this.#failure = databaseFailure(error);
    const store = this.#store;
    this.#store = undefined;
    try {
      await store?.close();
    } catch {
      // A database that fails may fail to close.
    }
    this.#report();
    // Questions that fail meanwhile are no retries, and put the next one off no further.
    if (this.#closed || this.#cancelRetry) return;
    this.#cancelRetry = this.#options.clock.after(this.#retryMs, () => {
      this.#cancelRetry = undefined;
      this.wake();
    });
    this.#retryMs = Math.min(this.#retryMs * 2, LAST_RETRY_MS);
  }

  #report(): void {
    const { report } = this.#options;
    report({
      failure: this.#failure,
      open: this.#store !== undefined,
      position: this.#position,
      damaged: this.#damaged,
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => {});
    return turn;
  }
}
