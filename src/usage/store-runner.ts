/**
 * Keeps the usage database open, takes the journal into it, and answers calls: one thing at a time.
 * Runs in the usage thread.
 *
 * A database that fails is closed and opened again, with a delay that grows to half a minute;
 * meanwhile the journal keeps the events. Events that the database refuses for what they hold are
 * put aside, or they would block all others. A file that was removed or replaced is noticed at the
 * next batch or question. A new one is made, and takes what the journal still has.
 */

import { appendFileSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { backoffMs, type Backoff } from '../base/backoff.ts';
import type { Clock } from '../base/clock.ts';
import type { UsageEvent } from './event.ts';
import {
  deleteReadSegments,
  emptyReadSegment,
  JOURNAL_START,
  journalName,
  listSegments,
  readJournal,
  refusedEventsPath,
  renameJournal,
  type JournalBatch,
} from './journal.ts';
import { databaseFailure, type DatabaseFailure } from './store/failure.ts';
import { openConnection } from './store/open.ts';
import type { PruneCutoffs } from './store/prune.ts';
import { UsageStore } from './store/usage-store.ts';
import { BATCH_EVENTS, type DatabaseState, type ThreadOptions } from './thread.ts';

/** Limit of the time that a question waits for events that came before it. */
const CATCH_UP_MS = 1000;

/** Delays before a failed database is opened again. */
const RETRY: Backoff = { firstMs: 250, maxMs: 30_000, jitter: 0 };

/**
 * State of the database. `unopened` has not been opened yet, or was closed because its file is
 * gone. `failed` waits to be tried again, or is being tried (then `cancelRetry` is null), and may
 * have a store that can still be read.
 */
type State =
  | { readonly kind: 'unopened' }
  | { readonly kind: 'open'; readonly store: UsageStore }
  | {
      readonly kind: 'failed';
      readonly failure: DatabaseFailure;
      readonly store: UsageStore | null;
      readonly cancelRetry: (() => void) | null;
    }
  | { readonly kind: 'closed' };

/** Where the database and the journal are, and the listener for changes of state. */
export interface StoreRunnerDeps extends ThreadOptions {
  readonly clock: Clock;
  readonly report: (state: DatabaseState) => void;
}

/** Keeps one usage database and takes a journal into it. */
export class StoreRunner {
  readonly #deps: StoreRunnerDeps;
  #state: State = { kind: 'unopened' };
  #journal = '';
  #position = JOURNAL_START;
  #damaged = 0;
  #drainedAt = 0;
  #replaced: DatabaseState['replaced'] = null;
  #wasOpen: boolean;
  #failures = 0;
  /** True after a wake until a step begins to take in what it announced. */
  #isWoken = false;
  #isDraining = false;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(deps: StoreRunnerDeps) {
    this.#deps = deps;
    this.#wasOpen = deps.wasOpen;
  }

  /** Takes in what is new in the journal, unless a failed database is waited for. */
  wake(): void {
    if (!this.#canDrain()) return;
    this.#isWoken = true;
    if (!this.#isDraining) void this.#drain();
  }

  /**
   * Makes one call, after the events that came before it. Rejects with the database's own error.
   */
  call<Result>(ask: (store: UsageStore) => Promise<Result>): Promise<Result> {
    return this.#inTurn(async () => ask(await this.#caughtUp()));
  }

  /**
   * Prunes, giving everybody else a turn after each slice; returns the numbers of deleted events
   * and totals.
   */
  async prune(cutoffs: PruneCutoffs): Promise<{ events: number; totals: number }> {
    const deleted = { events: 0, totals: 0, other: 0 };
    const steps = await this.call(async (store) => store.pruneSteps(cutoffs));
    for (;;) {
      const step = await this.#inTurn(() => steps.next());
      if (step.done === true || this.#state.kind === 'closed')
        return { events: deleted.events, totals: deleted.totals };
      deleted[step.value.kind] += step.value.deleted;
      await nextTurn();
    }
  }

  /**
   * Takes in what it can at once, and closes the database; `last` means that the journal is not
   * written any more.
   */
  close(last: boolean): Promise<void> {
    return this.#inTurn(async () => {
      try {
        if (this.#state.kind !== 'failed') await this.#caughtUp();
        if (last) emptyReadSegment(this.#deps.journalFolder, this.#position);
      } catch {
        // It stays in the journal for the next run.
      }
      const state = this.#state;
      this.#state = { kind: 'closed' };
      if (state.kind === 'failed') state.cancelRetry?.();
      await storeOf(state)?.close();
    });
  }

  async #drain(): Promise<void> {
    this.#isDraining = true;
    try {
      // A wake during a step may come too late for it, and so is answered by one more.
      while (this.#isWoken && this.#canDrain()) {
        this.#isWoken = false;
        while (await this.#inTurn(() => this.#step())) await nextTurn();
      }
    } finally {
      this.#isDraining = false;
    }
  }

  /** Returns whether the database is open, or may be tried now. */
  #canDrain(): boolean {
    const state = this.#state;
    return state.kind !== 'closed' && (state.kind !== 'failed' || state.cancelRetry === null);
  }

  /** Takes in one batch; returns whether there may be more. */
  async #step(): Promise<boolean> {
    if (this.#state.kind === 'closed') return false;
    const { journalFolder } = this.#deps;
    try {
      const store = await this.#opened();
      const batch = readJournal(journalFolder, this.#position, BATCH_EVENTS);
      if (batch.end === this.#position) {
        this.#drainedAt = this.#deps.clock.now();
        this.#works(store);
        return false;
      }
      await this.#write(store, batch);
      this.#damaged += batch.damaged;
      if (batch.end.segment !== this.#position.segment) deleteReadSegments(journalFolder, batch.end);
      this.#position = batch.end;
      this.#works(store);
      return true;
    } catch (error) {
      await this.#failed(error);
      return false;
    }
  }

  async #write(store: UsageStore, batch: JournalBatch): Promise<void> {
    const position = { journal: this.#journal, end: batch.end };
    try {
      await store.write({ events: batch.events, ...position });
    } catch (error) {
      if (!databaseFailure(error).refusesData) throw error;
      for (const event of batch.events) await this.#writeOrPutAside(store, event);
      await store.write({ events: [], ...position });
    }
  }

  async #writeOrPutAside(store: UsageStore, event: UsageEvent): Promise<void> {
    try {
      await store.write({ events: [event], journal: null, end: JOURNAL_START });
    } catch (error) {
      if (!databaseFailure(error).refusesData) throw error;
      appendFileSync(refusedEventsPath(this.#deps.journalFolder), `${JSON.stringify(event)}\n`, { mode: 0o600 });
      this.#damaged++;
    }
  }

  /**
   * Returns the open store, opening it where it is not; a failure stays noted until something was
   * written.
   */
  async #opened(): Promise<UsageStore> {
    const known = storeOf(this.#state);
    if (known && !known.isGone()) return known;
    if (known) await this.#leave(known);
    const connection = await openConnection(this.#deps.database);
    const store = new UsageStore(connection);
    try {
      await this.#findPosition(store);
    } catch (error) {
      await store.close();
      throw error;
    }
    if (connection.found === 'empty') this.#replaced ??= 'empty';
    else if (connection.found === 'nothing' && this.#wasOpen) this.#replaced ??= 'removed';
    else if (known) this.#replaced ??= 'exchanged';
    this.#wasOpen = true;
    this.#setStore(store);
    return store;
  }

  async #findPosition(store: UsageStore): Promise<void> {
    const { journalFolder } = this.#deps;
    this.#journal = journalName(journalFolder);
    this.#position = await store.position(this.#journal);
    // Segments are deleted only below the position: if all are below it, the folder was emptied and
    // counts from 1 again.
    if ((listSegments(journalFolder).at(-1) ?? 0) < this.#position.segment) {
      this.#journal = renameJournal(journalFolder);
      this.#position = JOURNAL_START;
    }
  }

  /** Closes a database whose file is gone. */
  async #leave(store: UsageStore): Promise<void> {
    this.#setStore(null);
    try {
      await store.close();
    } catch {
      // A database without its file may fail to close.
    }
  }

  #setStore(store: UsageStore | null): void {
    if (this.#state.kind === 'failed') this.#state = { ...this.#state, store };
    else this.#state = store ? { kind: 'open', store } : { kind: 'unopened' };
  }

  /** Returns the store after the events that wait, as far as they can be taken in quickly. */
  async #caughtUp(): Promise<UsageStore> {
    const started = this.#deps.clock.monotonic();
    // It may work again before the next try is due. One that cannot be opened is tried once.
    await this.#openedOrFailed();
    while (await this.#step()) {
      if (this.#deps.clock.monotonic() - started > CATCH_UP_MS) break;
    }
    // A database that takes nothing was closed, and may still be read.
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
  #works(store: UsageStore): void {
    const before = this.#state;
    this.#state = { kind: 'open', store };
    this.#failures = 0;
    this.#report();
    if (before.kind !== 'failed' || !before.cancelRetry) return;
    // A question found out before the retry did, and may leave events to be taken in.
    before.cancelRetry();
    this.wake();
  }

  async #failed(error: unknown): Promise<void> {
    const before = this.#state;
    if (before.kind === 'closed') return;
    // Questions that fail meanwhile are not retries, and put the next one off no further.
    const cancelRetry = (before.kind === 'failed' && before.cancelRetry) || this.#retryLater();
    this.#state = { kind: 'failed', failure: databaseFailure(error), store: null, cancelRetry };
    try {
      await storeOf(before)?.close();
    } catch {
      // A database that fails may fail to close.
    }
    this.#report();
  }

  #retryLater(): () => void {
    this.#failures += 1;
    return this.#deps.clock.after(
      backoffMs(RETRY, this.#failures, () => 0),
      () => {
        if (this.#state.kind === 'failed') this.#state = { ...this.#state, cancelRetry: null };
        this.wake();
      },
    );
  }

  #report(): void {
    const state = this.#state;
    this.#deps.report({
      failure: state.kind === 'failed' ? state.failure : null,
      open: storeOf(state) !== null,
      position: this.#position,
      damaged: this.#damaged,
      drainedAt: this.#drainedAt,
      replaced: this.#replaced,
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => {});
    return turn;
  }
}

function storeOf(state: State): UsageStore | null {
  return state.kind === 'open' || state.kind === 'failed' ? state.store : null;
}
