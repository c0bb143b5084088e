/**
 * Takes events from the journal into the database: a batch, the totals it adds to and how far the journal was read are
 * one transaction, so that an event counts exactly once however often the process is killed in between.
 *
 * A second telling of the same generation counts nothing: it only fills in what its call did not know.
 */

import { COST_SOURCES, EVENT_STATUSES, type UsageEvent } from '../event.ts';
import { bucketOf, DAY } from '../grains.ts';
import { isBefore, JOURNAL_START, type JournalPosition } from '../segments.ts';
import { SessionsFold } from '../session-totals.ts';
import { contribution, TotalsFold, type Dimensions } from '../totals.ts';
import type { StoreConnection } from './connection.ts';
import { DailyNames, OTHERS } from './daily-names.ts';
import { addSessions, addTotals, insertEvents } from './inserts.ts';
import { fillIn, passOn } from './merge.ts';
import type { Names } from './names.ts';
import type { EventsTable, UsageDb } from './schema.ts';

/** Is a batch and where in which journal it ends; imported events come from no journal. */
export interface IngestBatch {
  readonly events: readonly UsageEvent[];
  readonly journal: string | null;
  readonly end: JournalPosition;
}

/** Says what became of a batch. */
export interface IngestReport {
  readonly added: number;
  /** Counts the events whose generation, or whose very self, was there already. */
  readonly known: number;
}

/** Writes batches of events. */
export class Ingest {
  readonly #connection: StoreConnection;
  readonly #names: Names;
  readonly #events = insertEvents();
  readonly #totals = addTotals();
  readonly #sessions = addSessions();
  readonly #dailyNames = new DailyNames();

  constructor(connection: StoreConnection, names: Names) {
    this.#connection = connection;
    this.#names = names;
  }

  /** Returns how far a journal was read. */
  async position(journal: string): Promise<JournalPosition> {
    return readPosition(this.#connection.db, journal);
  }

  /** Writes one batch, or nothing of it. */
  async write(batch: IngestBatch): Promise<IngestReport> {
    try {
      return await this.#connection.db.transaction().execute(async (db) => {
        if (batch.journal !== null) {
          const stored = await readPosition(db, batch.journal);
          if (!isBefore(stored, batch.end)) return { added: 0, known: batch.events.length };
          await writePosition(db, batch.journal, batch.end);
        }
        return this.#writeEvents(db, batch.events);
      });
    } catch (error) {
      this.forget();
      throw error;
    }
  }

  async #writeEvents(db: UsageDb, events: readonly UsageEvent[]): Promise<IngestReport> {
    if (events.length === 0) return { added: 0, known: 0 };
    const day = events.reduce((latest, event) => Math.max(latest, bucketOf(event.at, DAY)), 0);
    const id = await this.#names.ids(db, events.flatMap(textsOf).concat(OTHERS), day);
    this.#dailyNames.trim();

    const totals = new TotalsFold();
    const sessions = new SessionsFold();
    const counted = (at: number, ids: Dimensions): Promise<Dimensions> =>
      this.#dailyNames.counted(db, at, ids, id(OTHERS));
    const count = async (event: UsageEvent): Promise<void> => {
      const sums = contribution(event);
      const ids = { caller: id(event.caller), model: id(event.model) };
      const all = { ...ids, provider: id(event.provider), key: id(event.keyId) };
      totals.add(event.at, event.status, await counted(event.at, all), sums);
      sessions.add(event, id(event.session), ids.caller, sums);
      sessions.add(event, id(event.run), 0, sums);
    };
    const insert = async (rows: readonly UsageEvent[]): Promise<UsageEvent[]> => {
      const inserted = await this.#events.run(
        db,
        rows.map((event) => eventRow(event, id)),
      );
      const fresh = new Set(inserted.map((row) => `${row.at},${row.id}`));
      const known: UsageEvent[] = [];
      for (const event of rows) {
        if (fresh.delete(`${event.at},${event.id}`)) await count(event);
        else known.push(event);
      }
      return known;
    };
    const known = await insert(events);
    let told = 0;
    // One by one: an id belongs to the last call that had it, and what is told of it next is told of that call.
    for (const event of known) {
      const merge = await fillIn(db, event, id(event.provider), { totals, sessions, counted });
      const isNew = merge === 'another-call' && (await insert([{ ...event, generationId: null }])).length === 0;
      if (isNew) await passOn(db, event, id(event.provider));
      else told++;
    }

    await this.#totals.run(db, totals.rows());
    await this.#sessions.run(db, sessions.rows());
    return { added: events.length - told, known: told };
  }

  /** Drops what is known of names: a transaction that failed, or a prune, made it untrue. */
  forget(): void {
    this.#names.forget();
    this.#dailyNames.forget();
  }
}

function textsOf(event: UsageEvent): (string | null)[] {
  const { caller, executable, session, run, provider, keyId, account, operation, model, errorCode } = event;
  return [caller, executable, session, run, provider, keyId, account, operation, model, errorCode];
}

function eventRow(event: UsageEvent, id: (text: string | null) => number): EventsTable {
  return {
    at: event.at,
    id: event.id,
    caller: id(event.caller),
    uid: event.uid,
    pid: event.pid,
    executable: id(event.executable),
    session: id(event.session),
    run: id(event.run),
    provider: id(event.provider),
    key: id(event.keyId),
    account: id(event.account),
    operation: id(event.operation),
    model: id(event.model),
    status: EVENT_STATUSES[event.status],
    error_code: id(event.errorCode),
    http_status: event.httpStatus,
    prompt_tokens: event.promptTokens,
    completion_tokens: event.completionTokens,
    cached_tokens: event.cachedTokens,
    reasoning_tokens: event.reasoningTokens,
    cost_micros: event.costMicros,
    cost_source: event.costSource === null ? null : COST_SOURCES.indexOf(event.costSource),
    latency_ms: event.latencyMs,
    first_token_ms: event.firstTokenMs,
    generation: event.generationId,
  };
}

async function readPosition(db: UsageDb, journal: string): Promise<JournalPosition> {
  const row = await db
    .selectFrom('positions')
    .select(['segment', 'byte_offset'])
    .where('journal', '=', journal)
    .executeTakeFirst();
  return row ? { segment: row.segment, offset: row.byte_offset } : JOURNAL_START;
}

async function writePosition(db: UsageDb, journal: string, end: JournalPosition): Promise<void> {
  const place = { segment: end.segment, byte_offset: end.offset };
  await db
    .insertInto('positions')
    .values({ journal, ...place })
    .onConflict((conflict) => conflict.column('journal').doUpdateSet(place))
    .execute();
}
