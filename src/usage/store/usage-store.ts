/**
 * Everything that can be done with an open usage database, by name: what the usage thread serves.
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
import type { UsageEvent } from '../event.ts';
import { JOURNAL_START, type JournalPosition } from '../segments.ts';
import { answer } from './answers.ts';
import type { StoreConnection } from './connection.ts';
import { readEvents, readGeneration } from './event-pages.ts';
import { Ingest, type IngestBatch, type IngestReport } from './ingest.ts';
import { Names } from './names.ts';
import { readNote, writeNote } from './notes.ts';
import { countPrunable, pruneSteps, type PruneCutoffs, type PruneStep } from './prune.ts';
import { countRecent } from './recent.ts';
import { answerSession } from './session-answers.ts';
import { listUnpriced, type UnpricedGeneration } from './unpriced.ts';

/** Maps each call that the main thread can make to its parameters and its result. All but `prune` are one short turn. */
export interface StoreCalls {
  answer: { params: { query: UsageQuery; now: number }; result: UsageAnswer };
  session: { params: { id: string }; result: SessionUsage | null };
  events: { params: { query: EventQuery; order: 'asc' | 'desc' }; result: EventPage };
  generation: { params: { id: string }; result: RecordedEvent | null };
  recent: { params: { query: RecentQuery; keyIds: readonly string[]; now: number }; result: RecentCount };
  unpriced: { params: { since: number; provider: string }; result: readonly UnpricedGeneration[] };
  prunable: { params: { before: number }; result: number };
  import: {
    params: { fingerprint: string; events: readonly UsageEvent[]; report: ImportReport };
    result: ImportReport;
  };
  bytes: { params: Record<string, never>; result: number };
}

/** Is how many imported events are written at once. */
const IMPORT_SLICE = 500;

/** Does what is asked of one open database. Its callers take turns: one thing at a time. */
export class UsageStore {
  readonly #connection: StoreConnection;
  readonly #names = new Names();
  readonly #ingest: Ingest;

  constructor(connection: StoreConnection) {
    this.#connection = connection;
    this.#ingest = new Ingest(connection, this.#names);
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

  readonly calls: {
    [Name in keyof StoreCalls]: (params: StoreCalls[Name]['params']) => Promise<StoreCalls[Name]['result']>;
  } = {
    answer: ({ query, now }) => answer(this.#connection.db, this.#names, query, now),
    session: ({ id }) => answerSession(this.#connection.db, this.#names, id),
    events: ({ query, order }) => readEvents(this.#connection.db, this.#names, query, order),
    generation: ({ id }) => readGeneration(this.#connection.db, this.#names, id),
    recent: ({ query, keyIds, now }) => countRecent(this.#connection.db, this.#names, query, keyIds, now),
    unpriced: ({ since, provider }) => listUnpriced(this.#connection.db, this.#names, since, provider),
    prunable: ({ before }) => countPrunable(this.#connection, before),
    import: (params) => this.#importOnce(params),
    bytes: () => this.#connection.bytes(),
  };

  close(): Promise<void> {
    return this.#connection.close();
  }

  async #importOnce({ fingerprint, events, report }: StoreCalls['import']['params']): Promise<ImportReport> {
    const note = `import ${fingerprint}`;
    if ((await readNote(this.#connection.db, note)) !== null) return { ...report, repeated: true, added: 0 };
    let added = 0;
    let known = 0;
    for (let start = 0; start < events.length; start += IMPORT_SLICE) {
      const slice = events.slice(start, start + IMPORT_SLICE);
      const written = await this.write({ events: slice, journal: null, end: JOURNAL_START });
      added += written.added;
      known += written.known;
    }
    // Last: an interrupted import is done again, and the generations that it brought are known then.
    await writeNote(this.#connection.db, note, String(added));
    return { ...report, added, known };
  }
}
