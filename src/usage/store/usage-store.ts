/**
 * An open usage database. Its public methods are what the rest of the daemon can ask for; see
 * ../thread.ts.
 */

import type {
  EventPage,
  EventQuery,
  ImportReport,
  RecentCount,
  RecentQuery,
  RecordedEvent,
  SessionUsage,
  UsageAnswer,
  UsageQuery,
} from '../../protocol/usage.ts';
import type { AipassUsage } from '../import-aipass.ts';
import type { JournalPosition } from '../journal.ts';
import {
  answer,
  answerSession,
  countRecent,
  type AnswerDeps,
  type AskedOrganizations,
  type Scoped,
} from './answers.ts';
import type { StoreConnection } from './database.ts';
import { listUnpriced, readEvents, readGeneration, type UnpricedGeneration } from './event-pages.ts';
import { Ingest, type IngestBatch, type IngestReport } from './ingest.ts';
import { Names } from './names.ts';
import { countPrunable, pruneSteps, type PruneCutoffs, type PruneStep } from './prune.ts';

/** Answers and changes one open database. Its callers take turns: one call at a time. */
export class UsageStore {
  readonly #connection: StoreConnection;
  readonly #deps: AnswerDeps;
  readonly #ingest: Ingest;

  constructor(connection: StoreConnection) {
    const names = new Names();
    this.#connection = connection;
    this.#deps = { executor: connection, names };
    this.#ingest = new Ingest(connection, names);
  }

  /** Returns whether the database's file was removed or replaced since it was opened. */
  isGone(): boolean {
    return this.#connection.isGone();
  }

  answer(query: UsageQuery & Scoped, now: number): Promise<UsageAnswer> {
    return answer(this.#deps, query, now);
  }

  session(id: string, organizations?: AskedOrganizations): Promise<SessionUsage | null> {
    return answerSession(this.#deps, id, organizations);
  }

  events(query: EventQuery & Scoped, order: 'asc' | 'desc'): Promise<EventPage> {
    return readEvents(this.#deps, query, order);
  }

  generation(id: string, organizations?: AskedOrganizations): Promise<RecordedEvent | null> {
    return readGeneration(this.#deps, id, organizations);
  }

  /** Counts the attempts of the last seconds; `keyIds` are those of the provider, or of all. */
  recent(query: RecentQuery & Scoped, keyIds: readonly string[], now: number): Promise<RecentCount> {
    return countRecent(this.#deps, query, keyIds, now);
  }

  unpriced(since: number, provider: string): Promise<readonly UnpricedGeneration[]> {
    return listUnpriced(this.#deps, since, provider);
  }

  /** Returns the number of events that a pruning would delete. */
  prunable(before: number): Promise<number> {
    return countPrunable(this.#connection, before);
  }

  bytes(): Promise<number> {
    return this.#connection.bytes();
  }

  /** Imports AIPass's usage once. A file that has grown since adds what is new in it. */
  async import(usage: AipassUsage): Promise<ImportReport> {
    // Loaded when it is needed, with zod: nothing else of the thread needs that.
    const { importAipass } = await import('./import.ts');
    return importAipass(this.#connection, this.#ingest, usage);
  }

  position(journal: string): Promise<JournalPosition> {
    return this.#ingest.position(journal);
  }

  write(batch: IngestBatch): Promise<IngestReport> {
    return this.#ingest.write(batch);
  }

  pruneSteps(cutoffs: PruneCutoffs): AsyncGenerator<PruneStep> {
    // Pruned names must not be handed out from the copy.
    this.#ingest.forget();
    return pruneSteps(this.#connection, cutoffs);
  }

  close(): Promise<void> {
    return this.#connection.close();
  }
}
