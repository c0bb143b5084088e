/**
 * Who used what: records every call, and answers questions about them. The rest of the daemon knows
 * no more of usage.
 *
 * `record` takes microseconds, whatever the database does. A call is in the journal before its
 * reply is sent, and so survives the death of the process. The release of a credential follows
 * within some milliseconds. Answers come from the usage thread.
 */

import { randomUUID } from 'node:crypto';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import { DAY_MS } from '../base/time-window.ts';
import type { Warning } from '../base/warning.ts';
import type { EventPage, EventQuery, PruneReport, UsageStatusReport } from '../protocol/usage.ts';
import { isCall, type RawEvent } from './event.ts';
import { Journal, journalBytesAfter, JOURNAL_START, refusedEventsPath } from './journal.ts';
import { LinePrinter, type Recurrence } from './journal-line.ts';
import { ReleaseBatcher } from './release-batcher.ts';
import type { Scoped } from './store/answers.ts';
import { isPostgresUrl } from './store/open.ts';
import { UsageThread, type StoreCalls } from './thread.ts';

/** Where usage is kept, and what its recording depends on. */
export interface UsageDeps {
  /** Path of a SQLite file or a `postgres://` address. */
  readonly database: string;
  readonly journalFolder: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Masks secrets in a text. */
  readonly redact: (text: string) => string;
  /** Returns a whole number from 0 to before 2^48, at random. */
  readonly randomId: () => number;
}

/** Records usage and answers for it. */
export class Usage {
  /** Id of this run of the daemon, and of the daemon's own session. */
  readonly run = `run-${randomUUID()}`;
  readonly #deps: UsageDeps;
  readonly #thread: UsageThread;
  readonly #journal: Journal;
  readonly #printer: LinePrinter;
  readonly #releases: ReleaseBatcher;
  /** Time of the first event since the database last had all of them, in epoch milliseconds. */
  #waitingSince = 0;

  constructor(deps: UsageDeps) {
    const { database, journalFolder, clock, logger, redact } = deps;
    this.#deps = deps;
    this.#thread = new UsageThread({ database, journalFolder }, clock, logger);
    this.#journal = new Journal(journalFolder, clock, (events) => this.#thread.recorded(events));
    this.#printer = new LinePrinter({ run: this.run, redact });
    this.#releases = new ReleaseBatcher(deps, (raw, again) => this.#append(raw, again));
  }

  /**
   * Moves what an earlier run left in the journal into the database; returns at once, whatever the
   * state of the database.
   */
  start(): void {
    if (journalBytesAfter(this.#deps.journalFolder, JOURNAL_START) === 0) return;
    // Nothing knows when the earlier run recorded it: its wait is counted from here.
    this.#waitingSince = this.#deps.clock.now();
    this.#thread.recorded(0);
  }

  /** Records one event. Never throws, never waits for the database. */
  record(raw: RawEvent): void {
    if (isCall(raw)) this.#append(raw);
    else this.#releases.add(raw);
  }

  /**
   * Writes recorded calls to the journal. Called before a reply is sent, so that every answered
   * completion is recorded.
   */
  flush(): void {
    this.#journal.flush();
  }

  /**
   * Asks the store, which has everything that was recorded before.
   *
   * @throws AipassError INTERNAL with a hint while the database does not work; CANCELLED once the
   * daemon stops.
   */
  ask<Name extends keyof StoreCalls>(
    name: Name,
    ...args: Parameters<StoreCalls[Name]>
  ): Promise<Awaited<ReturnType<StoreCalls[Name]>>> {
    this.#releases.flush();
    this.#journal.flush();
    this.#journal.takeBackRemoved();
    return this.#thread.call(name, ...args);
  }

  /** Deletes events and totals past their retention, in days; `dryRun` only counts the events. */
  async prune(retentionDays: number, totalsRetentionDays: number, dryRun = false): Promise<PruneReport> {
    const now = this.#deps.clock.now();
    // 0 days include this very millisecond.
    const before = now - retentionDays * DAY_MS + (retentionDays === 0 ? 1 : 0);
    const bytesBefore = await this.ask('bytes');
    if (dryRun) {
      const events = await this.ask('prunable', before);
      return { events, totals: 0, dryRun, bytesBefore, bytesAfter: bytesBefore };
    }
    const deleted = await this.ask('prune', { events: before, totals: now - totalsRetentionDays * DAY_MS, now });
    return { ...deleted, dryRun, bytesBefore, bytesAfter: await this.ask('bytes') };
  }

  /** Yields events page by page, oldest first, without holding more than one page. */
  async *export(
    query: Pick<EventQuery, 'since' | 'until' | 'keyId' | 'status'> & Scoped,
  ): AsyncGenerator<EventPage['events']> {
    let after: string | undefined;
    for (;;) {
      // As many as the store allows in a page.
      const page: EventPage = await this.ask('events', { ...query, limit: Infinity, after }, 'asc');
      if (page.events.length > 0) yield page.events;
      if (page.next === null) return;
      after = page.next;
    }
  }

  /** Returns the state of the recording. */
  status(): UsageStatusReport {
    this.#releases.flush();
    const { failure, open, damaged } = this.#thread.database;
    const journal = this.#journal.state();
    const queuedBytes = journalBytesAfter(this.#deps.journalFolder, this.#thread.database.position);
    return {
      database: failure?.reason ?? (this.#thread.isAsleep ? 'asleep' : open ? 'ready' : 'opening'),
      kind: isPostgresUrl(this.#deps.database) ? 'postgres' : 'sqlite',
      queued: failure !== null || journal.waitingInMemory > 0,
      queuedBytes,
      lagMs: queuedBytes === 0 ? 0 : Math.max(0, this.#deps.clock.now() - this.#waitingSince),
      waitingInMemory: journal.waitingInMemory,
      lost: journal.lost,
      damaged,
    };
  }

  /** Returns the problems of the recording, for `status`. */
  warnings(): Warning[] {
    const warnings: Warning[] = [];
    const { failure, damaged, replaced } = this.#thread.database;
    const { waitingInMemory, lost, removed, failure: journalFailure } = this.#journal.state();
    const { database, journalFolder } = this.#deps;
    const warn = (problem: string, hint: string): void => void warnings.push({ subject: 'usage', problem, hint });
    if (lost > 0) warn(`${lost} usage events were lost: disk and memory were full`, 'make room on the disk');
    if (failure) warn(`the usage database does not work (${failure.reason}); events are queued on disk`, failure.hint);
    if (replaced === 'removed') {
      warn(
        `${database} was removed while the daemon ran; a new usage database was created`,
        'stop the daemon before you move the usage database; restore a copy of it if you need the history',
      );
    }
    if (replaced === 'exchanged') {
      warn(
        `${database} was replaced by another file while the daemon ran; that one is used now`,
        'stop the daemon before you restore a copy of the usage database',
      );
    }
    if (replaced === 'empty') {
      warn(
        `${database} was empty (0 bytes): its history is gone, and a new usage database was created`,
        'restore a copy of the usage database if you have one, and check the disk for room and errors',
      );
    }
    if (removed) {
      warn(
        `the usage queue ${journalFolder} was removed while the daemon ran; it was created again`,
        'stop the daemon before you move or clean its state folder',
      );
    }
    if (waitingInMemory > 0) {
      const problem = `${waitingInMemory} usage events wait in memory: the queue cannot be written (${journalFailure ?? ''})`;
      warn(problem, 'make room on the disk, or let this user write the state folder');
    }
    if (damaged > 0) {
      warn(
        `${damaged} usage events or lines of the queue were left out, because they could not be read or the database refused them`,
        `check the disk for errors; refused events are in ${refusedEventsPath(journalFolder)}`,
      );
    }
    return warnings;
  }

  /**
   * Ends the recording; what the database has not taken stays in the journal for the next run.
   *
   * @throws AipassError INTERNAL where the journal could not be written either, and events are lost
   * now.
   */
  async close(): Promise<void> {
    this.#releases.flush();
    try {
      this.#journal.close();
    } finally {
      await this.#thread.close();
    }
  }

  #append(raw: RawEvent, again: readonly Recurrence[] = []): void {
    const { clock, randomId } = this.#deps;
    const now = clock.now();
    if (this.#waitingSince <= this.#thread.database.drainedAt) this.#waitingSince = now;
    this.#journal.append(this.#printer.print(raw, { now, id: randomId() }, again), 1 + again.length);
  }
}
