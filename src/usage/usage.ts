/**
 * Who used what: records every call, and answers questions about them. What the rest of the daemon knows of usage.
 *
 * `record` takes microseconds, whatever the database does. A call is in the journal before its reply is sent, and so
 * survives the death of the process; the release of a credential follows within some milliseconds. Answers come from
 * the usage thread.
 */

import { randomUUID } from 'node:crypto';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import type { Warning } from '../base/warning.ts';
import type { EventPage, EventQuery, PruneReport, UsageStatusReport } from '../protocol/usage.ts';
import { isCall, normaliseEvent, type RawEvent } from './event.ts';
import { Journal } from './journal.ts';
import { printEvents, type Moment } from './journal-lines.ts';
import { WaitingReleases } from './waiting-releases.ts';
import { listSegments, segmentBytes } from './segments.ts';
import { isPostgresUrl } from './store/open.ts';
import { StoreThread } from './store-thread.ts';
import type { ThreadCalls } from './thread-messages.ts';

/** Is where usage is kept and what it depends on. */
export interface UsageOptions {
  /** Is the path of a SQLite file or a `postgres://` address. */
  readonly database: string;
  readonly journalFolder: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Masks secrets in a text. */
  readonly redact: (text: string) => string;
  /** Returns a whole number from 0 to before 2^48, at random. */
  readonly randomId: () => number;
}

const DAY_MS = 86_400_000;

/** Records usage and answers for it. */
export class Usage {
  /** Names this run of the daemon; its own session has this id. */
  readonly run = `run-${randomUUID()}`;
  readonly #options: UsageOptions;
  readonly #thread: StoreThread;
  readonly #journal: Journal;
  readonly #releases: WaitingReleases;

  constructor(options: UsageOptions) {
    const { database, journalFolder, clock, logger } = options;
    this.#options = options;
    this.#thread = new StoreThread({ database, journalFolder }, clock, logger);
    this.#journal = new Journal(journalFolder, clock, () => this.#thread.wake());
    this.#releases = new WaitingReleases(options, (raw, again) => this.#append(raw, again));
  }

  /** Has the database take what an earlier run left in the journal; returns at once, however the database is. */
  start(): void {
    const { journalFolder } = this.#options;
    if (listSegments(journalFolder).some((segment) => segmentBytes(journalFolder, segment) > 0)) this.#thread.wake();
  }

  /** Records one event. Never throws, never waits for the database. */
  record(raw: RawEvent): void {
    if (isCall(raw)) this.#append(raw);
    else this.#releases.add(raw);
  }

  /** Has on disk what was recorded so far: before a reply leaves, so that no completion is answered and forgotten. */
  flush(): void {
    this.#journal.flush();
  }

  /** Asks the store, which has heard of everything recorded before; rejects with a hint while the database does not work. */
  ask<Name extends keyof ThreadCalls>(
    name: Name,
    params: ThreadCalls[Name]['params'],
  ): Promise<ThreadCalls[Name]['result']> {
    this.#releases.flush();
    this.#journal.flush();
    return this.#thread.call(name, params);
  }

  /** Deletes events and totals past their retention, in days; `dryRun` only counts the events. */
  async prune(retentionDays: number, totalsRetentionDays: number, dryRun = false): Promise<PruneReport> {
    const now = this.#options.clock.now();
    // 0 days: also what happened in this very millisecond.
    const before = now - retentionDays * DAY_MS + (retentionDays === 0 ? 1 : 0);
    const bytesBefore = await this.ask('bytes', {});
    if (dryRun) {
      const events = await this.ask('prunable', { before });
      return { events, totals: 0, dryRun, bytesBefore, bytesAfter: bytesBefore };
    }
    const deleted = await this.ask('prune', { events: before, totals: now - totalsRetentionDays * DAY_MS, now });
    return { ...deleted, dryRun, bytesBefore, bytesAfter: await this.ask('bytes', {}) };
  }

  /** Goes through events page by page, oldest first, without holding more than one page. */
  async *export(query: Pick<EventQuery, 'since' | 'until' | 'keyId' | 'status'>): AsyncGenerator<EventPage['events']> {
    let after: string | undefined;
    for (;;) {
      const page: EventPage = await this.ask('events', { query: { ...query, limit: 500, after }, order: 'asc' });
      if (page.events.length > 0) yield page.events;
      if (page.next === null) return;
      after = page.next;
    }
  }

  /** Tells how the recording is. */
  status(): UsageStatusReport {
    this.#releases.flush();
    const { failure, open, damaged, position } = this.#thread.state;
    const journal = this.#journal.state();
    return {
      database: failure?.reason ?? (this.#thread.isAsleep ? 'asleep' : open ? 'ready' : 'opening'),
      kind: isPostgresUrl(this.#options.database) ? 'postgres' : 'sqlite',
      queued: failure !== null || journal.waitingInMemory > 0,
      queuedBytes: this.#bytesAfter(position),
      waitingInMemory: journal.waitingInMemory,
      lost: journal.lost,
      damaged,
    };
  }

  /** Lists what is wrong with the recording, for `status`. */
  warnings(): Warning[] {
    const warnings: Warning[] = [];
    const { failure, damaged } = this.#thread.state;
    const { waitingInMemory, lost, failure: journalFailure } = this.#journal.state();
    const warn = (problem: string, hint: string): void => void warnings.push({ subject: 'usage', problem, hint });
    if (lost > 0) warn(`${lost} usage events were lost: disk and memory took no more`, 'make room on the disk');
    if (failure) warn(`the usage database does not work (${failure.reason}); events are queued on disk`, failure.hint);
    if (waitingInMemory > 0) {
      const problem = `${waitingInMemory} usage events wait in memory: the queue cannot be written (${journalFailure ?? ''})`;
      warn(problem, 'make room on the disk, or let this user write the state folder');
    }
    if (damaged > 0) {
      warn(`${damaged} lines of the usage queue were no events`, `look at ${this.#options.journalFolder}`);
    }
    return warnings;
  }

  /**
   * Ends the recording; what the database has not taken stays in the journal for the next run.
   *
   * @throws AipassError INTERNAL where the journal could not be written either, and events are lost now.
   */
  async close(): Promise<void> {
    this.#releases.flush();
    try {
      this.#journal.close();
    } finally {
      await this.#thread.close();
    }
  }

  #append(raw: RawEvent, again: readonly Moment[] = []): void {
    const { clock, randomId, redact } = this.#options;
    const event = normaliseEvent(raw, { now: clock.now(), id: randomId(), run: this.run, redact });
    this.#journal.append(printEvents(event, again), 1 + again.length);
  }

  #bytesAfter(position: { readonly segment: number; readonly offset: number }): number {
    try {
      return listSegments(this.#options.journalFolder)
        .filter((segment) => segment >= position.segment)
        .map((segment) => ({ segment, bytes: segmentBytes(this.#options.journalFolder, segment) }))
        .map(({ segment, bytes }) => (segment === position.segment ? Math.max(0, bytes - position.offset) : bytes))
        .reduce((sum, bytes) => sum + bytes, 0);
    } catch {
      return 0;
    }
  }
}
