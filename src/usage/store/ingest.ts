/**
 * Takes events from the journal into the database. A batch, the totals it adds to and how far the
 * journal was read are one transaction. So an event counts exactly once however often the process
 * is killed in between.
 *
 * A generation counts once. The first event of it stands. A later report only fills in what that
 * event lacks (tokens, cost), in the event and in the totals that it was counted in. Two calls with
 * one generation id are two calls all the same: some providers repeat their ids (Ollama numbers its
 * answers from 0 to 999). An id then belongs to the last call that had it, and later reports are on
 * that one.
 */

import { generationKey, isReport, type UsageEvent } from '../event.ts';
import { isBefore, JOURNAL_START, type JournalPosition } from '../journal.ts';
import {
  BulkInsert,
  sql,
  Statement,
  type EventsTable,
  type Executor,
  type SqlValue,
  type StoreConnection,
  type UsageDb,
} from './database.ts';
import {
  addTexts,
  EVENT_ROW_COLUMNS,
  eventValues,
  FILLABLE_COLUMNS,
  fillRow,
  measured,
  type NamedRow,
} from './event-rows.ts';
import type { Names } from './names.ts';
import { ALL_RESOLUTIONS, bucketOf, DAY, MINUTE, RESOLUTIONS } from './resolutions.ts';
import { contribution, noSums, STATUS_CODES, SUM_COLUMNS, type SumColumn } from './sums.ts';
import { kindNumber, SessionsFold, TotalsFold, type Dimensions, type SessionRow, type TotalRow } from './totals.ts';

/** A batch and where in which journal it ends; imported events come from no journal. */
export interface IngestBatch {
  readonly events: readonly UsageEvent[];
  readonly journal: string | null;
  readonly end: JournalPosition;
}

/** Numbers of added and known events of a batch. */
export interface IngestReport {
  readonly added: number;
  /** Number of events whose generation, or whose very self, was there already. */
  readonly known: number;
}

/** Sums that no event stands for, such as those of an import: what they add to and when. */
export interface CarriedSums {
  readonly totals: readonly {
    readonly at: number;
    readonly caller: string;
    readonly model: string | null;
    readonly provider: string | null;
    readonly sums: readonly number[];
  }[];
  readonly sessions: readonly {
    readonly name: string;
    readonly caller: string;
    readonly firstAt: number;
    readonly lastAt: number;
    readonly sums: readonly number[];
  }[];
}

/** Inserts events; one with the identity or the generation of another is passed over. */
function insertRows(db: UsageDb, rows: number) {
  return db
    .insertInto('events')
    .columns(EVENT_ROW_COLUMNS)
    .expression(placeholders(EVENT_ROW_COLUMNS, rows))
    .onConflict((conflict) => conflict.doNothing());
}

const insertEvents = new BulkInsert<readonly SqlValue[], Pick<EventsTable, 'at' | 'id'>>(
  (db, rows) => insertRows(db, rows).returning(['at', 'id']),
  (values) => values,
);

/** The same for one event where the database returns at once how many rows it changed. */
const insertEvent = new Statement((db) => insertRows(db, 1));

const TOTAL_KEY = ['resolution', 'kind', 'caller', 'bucket', 'value', 'status'] as const;

/** Columns of the rows that are added to the totals. */
const ADDED = ['kind', 'caller', 'value', 'status', 'minute', ...SUM_COLUMNS] as const;

/**
 * Adds each row to the totals of all resolutions: half of what an upsert costs is handing over its
 * values. Larger buckets come first, so that daemons which share a database lock them in one order.
 */
const addTotals = new BulkInsert<TotalRow>(
  (db, rows) => {
    const row = sql`(${sql.join(ADDED.map(() => sql`cast(${0} as bigint)`))})`;
    const resolutions = ALL_RESOLUTIONS.toReversed().map(
      (resolution) => sql`(${sql.lit(resolution)}, ${sql.lit(RESOLUTIONS[resolution].ms / RESOLUTIONS[MINUTE].ms)})`,
    );
    const sums = SUM_COLUMNS.map((column) => sql.ref(column));
    // Several rows can be of one larger bucket, which one statement can change only once.
    const grouped = rows > 1;
    return {
      compile: () =>
        sql`with added (${columnList(ADDED)}) as (values ${sql.join(Array.from({ length: rows }, () => row))}),
            resolutions (resolution, minutes) as (values ${sql.join(resolutions)})
          insert into totals (${columnList([...TOTAL_KEY, ...SUM_COLUMNS])})
          select resolution, kind, caller, minute / minutes, value, status,
            ${sql.join(grouped ? sums.map((column) => sql`sum(${column})`) : sums)}
          from added cross join resolutions where true
          ${grouped ? sql`group by 1, 2, 3, 4, 5, 6 order by kind, caller, value, status, resolution desc, 4` : sql``}
          on conflict (${columnList(TOTAL_KEY)}) do update set ${sql.join(
            SUM_COLUMNS.map((column) => sql`${sql.ref(column)} = ${addedTo('totals', column)}`),
          )}`.compile(db),
    };
  },
  ({ kind, caller, value, status, minute, sums }) => [kind, caller, value, status, minute, ...sums],
);

const SESSION_COLUMNS = ['session', 'organization', 'status', 'caller', 'first_at', 'last_at'] as const;

const addSessions = new BulkInsert<SessionRow>(
  (db, rows) =>
    db
      .insertInto('sessions')
      .columns([...SESSION_COLUMNS, ...SUM_COLUMNS])
      .expression(placeholders([...SESSION_COLUMNS, ...SUM_COLUMNS], rows))
      .onConflict((conflict) =>
        conflict.columns(['session', 'organization', 'status']).doUpdateSet({
          ...Object.fromEntries(SUM_COLUMNS.map((column) => [column, addedTo('sessions', column)])),
          first_at: sql<number>`case when excluded.first_at < sessions.first_at then excluded.first_at else sessions.first_at end`,
          last_at: sql<number>`case when excluded.last_at > sessions.last_at then excluded.last_at else sessions.last_at end`,
        }),
      ),
  (row) => [row.session, row.organization, row.status, row.caller, row.firstAt, row.lastAt, ...row.sums],
);

const readPosition = new Statement<{ readonly segment: number; readonly byte_offset: number }>((db) =>
  db.selectFrom('positions').select(['segment', 'byte_offset']).where('journal', '=', ''),
);

const writePosition = new Statement((db) =>
  db
    .insertInto('positions')
    .values({ journal: '', segment: 0, byte_offset: 0 })
    .onConflict((conflict) =>
      conflict.column('journal').doUpdateSet({
        segment: sql<number>`excluded.segment`,
        byte_offset: sql<number>`excluded.byte_offset`,
      }),
    ),
);

const findGeneration = new Statement<Pick<NamedRow, 'at' | 'id' | 'operation_name'>>((db) =>
  db
    .selectFrom('events')
    .innerJoin('names', 'names.id', 'events.operation')
    .select(['at', 'events.id', 'names.text as operation_name'])
    .where('generation', '=', '')
    .where('provider', '=', 0),
);

const readRow = new Statement<NamedRow>((db) =>
  db
    .selectFrom('events')
    .innerJoin('names', 'names.id', 'events.operation')
    .selectAll('events')
    .select('names.text as operation_name')
    .where('at', '=', 0)
    .where('events.id', '=', 0),
);

const fillEvent = new Statement((db) =>
  db
    .updateTable('events')
    .set(Object.fromEntries(FILLABLE_COLUMNS.map((column) => [column, 0])))
    .where('at', '=', 0)
    .where('id', '=', 0),
);

const setGeneration = new Statement((db) =>
  db.updateTable('events').set({ generation: '' }).where('at', '=', 0).where('id', '=', 0),
);

/** Writes batches of events. */
export class Ingest {
  readonly #connection: StoreConnection;
  readonly #names: Names;
  readonly #dailyNames = new DailyNames();

  constructor(connection: StoreConnection, names: Names) {
    this.#connection = connection;
    this.#names = names;
  }

  /** Returns how far a journal was read. */
  async position(journal: string): Promise<JournalPosition> {
    return storedPosition(this.#connection, journal);
  }

  /** Writes one batch, or nothing of it. */
  write(batch: IngestBatch): Promise<IngestReport> {
    return this.#transaction(async (executor) => {
      if (batch.journal !== null) {
        const stored = await storedPosition(executor, batch.journal);
        if (!isBefore(stored, batch.end)) return { added: 0, known: batch.events.length };
        await executor.run(writePosition, [batch.journal, batch.end.segment, batch.end.offset]);
      }
      if (batch.events.length === 0) return { added: 0, known: 0 };
      const known = await new BatchWriter(executor, this.#names, this.#dailyNames).write(batch.events);
      return { added: batch.events.length - known.length, known: known.length };
    });
  }

  /** Writes events that come from no journal, or none of them; returns those that were known. */
  writeImported(events: readonly UsageEvent[]): Promise<readonly UsageEvent[]> {
    return this.#transaction((executor) => new BatchWriter(executor, this.#names, this.#dailyNames).write(events));
  }

  /** Adds sums without events, and runs `then` in the same transaction. */
  carry(carried: CarriedSums, then: (executor: Executor) => Promise<void>): Promise<void> {
    return this.#transaction(async (executor) => {
      const writer = new BatchWriter(executor, this.#names, this.#dailyNames);
      await writer.carry(carried);
      await then(executor);
    });
  }

  /** Drops what is known of names: a transaction that failed, or a prune, made it untrue. */
  forget(): void {
    this.#names.forget();
    this.#dailyNames.forget();
  }

  async #transaction<T>(work: (executor: Executor) => Promise<T>): Promise<T> {
    try {
      this.#dailyNames.trim();
      return await this.#connection.transaction(work);
    } catch (error) {
      this.forget();
      throw error;
    }
  }
}

/** Writes one batch within a transaction. */
class BatchWriter {
  readonly #executor: Executor;
  readonly #names: Names;
  readonly #dailyNames: DailyNames;
  readonly #totals = new TotalsFold();
  readonly #sessions = new SessionsFold();
  #id: (text: string | null) => number = () => 0;

  constructor(executor: Executor, names: Names, dailyNames: DailyNames) {
    this.#executor = executor;
    this.#names = names;
    this.#dailyNames = dailyNames;
  }

  /** Writes events; returns those that were known. */
  async write(events: readonly UsageEvent[]): Promise<UsageEvent[]> {
    const texts = new Set<string | null>([OTHERS]);
    let latest = 0;
    let previous: UsageEvent | undefined;
    for (const event of events) {
      addTexts(texts, event, previous);
      latest = Math.max(latest, event.at);
      previous = event;
    }
    this.#id = await this.#names.ids(this.#executor, texts, bucketOf(latest, DAY));
    for (const { at, organization } of events) await this.#readDay(at, this.#id(organization));

    const known: UsageEvent[] = [];
    // One by one: a report that follows its call in the batch is on that call.
    for (const event of await this.#insert(withoutRepeatedIds(events))) {
      if (await this.#isKnown(event)) known.push(event);
    }
    await this.#writeSums();
    return known;
  }

  async carry({ totals, sessions }: CarriedSums): Promise<void> {
    const texts = new Set<string | null>([OTHERS]);
    for (const { caller, model, provider } of totals) texts.add(caller).add(model).add(provider);
    for (const { name, caller } of sessions) texts.add(name).add(caller);
    const latest = [...totals.map(({ at }) => at), ...sessions.map(({ lastAt }) => lastAt)];
    this.#id = await this.#names.ids(this.#executor, texts, bucketOf(Math.max(0, ...latest), DAY));
    for (const { name, caller, firstAt, lastAt, sums } of sessions) {
      const ids = { session: this.#id(name), caller: this.#id(caller) };
      const row = { ...ids, organization: 0, status: STATUS_CODES.success };
      this.#sessions.add(firstAt, row, sums);
      this.#sessions.add(lastAt, row, noSums());
    }
    for (const { at, caller, model, provider, sums } of totals) {
      const ids = { caller: this.#id(caller), model: this.#id(model), provider: this.#id(provider) };
      await this.#readDay(at, 0);
      const dimensions = this.#counted(at, { ...ids, key: 0, organization: 0 });
      this.#totals.add(at, STATUS_CODES.success, dimensions, sums);
    }
    await this.#writeSums();
  }

  /** Inserts events and counts those that are new; returns the others. */
  async #insert(events: readonly UsageEvent[]): Promise<UsageEvent[]> {
    const isNew = await this.#insertRows(events);
    const others: UsageEvent[] = [];
    for (const [index, event] of events.entries()) {
      if (isNew[index]) this.#count(event);
      else others.push(event);
    }
    return others;
  }

  /** Inserts events; returns for each whether it is new. */
  async #insertRows(events: readonly UsageEvent[]): Promise<readonly boolean[]> {
    const { change } = this.#executor;
    if (change) return events.map((event) => change(insertEvent, eventValues(event, this.#id)) > 0);
    const rows = events.map((event) => eventValues(event, this.#id));
    const fresh = new Set((await insertEvents.run(this.#executor, rows)).map(({ at, id }) => `${at},${id}`));
    return events.map(({ at, id }) => fresh.delete(`${at},${id}`));
  }

  #count(event: UsageEvent): void {
    const { at } = event;
    const status = STATUS_CODES[event.status];
    const id = this.#id;
    const caller = id(event.caller);
    // The default organization has no name in the dictionary.
    const organization = id(event.organization);
    const ids = { caller, model: id(event.model), provider: id(event.provider), key: id(event.keyId), organization };
    const sums = contribution(event);
    this.#totals.add(at, status, this.#counted(at, ids), sums);
    this.#sessions.add(at, { session: id(event.session), organization, status, caller }, sums);
    this.#sessions.add(at, { session: id(event.run), organization, status, caller: 0 }, sums);
  }

  /**
   * Returns whether an event that could not be inserted was there already, after it filled in what
   * it knows better.
   */
  async #isKnown(event: UsageEvent): Promise<boolean> {
    const { generationId } = event;
    if (generationId === null) return true;
    const provider = this.#id(event.provider);
    const [row] = await this.#executor.run(findGeneration, [generationId, provider]);
    // The event itself, written a second time.
    if (!row || (row.at === event.at && row.id === event.id)) return true;
    if (isReport(event.operation) || isReport(row.operation_name)) {
      await this.#fill(row, event);
      return true;
    }
    await this.#executor.run(setGeneration, [null, row.at, row.id]);
    if ((await this.#insert([event])).length === 0) return false;
    // Another event written a second time, from before the id came to the one that has it.
    await this.#executor.run(setGeneration, [generationId, row.at, row.id]);
    return true;
  }

  async #fill({ at: rowAt, id }: Pick<NamedRow, 'at' | 'id'>, report: UsageEvent): Promise<void> {
    const [row] = await this.#executor.run(readRow, [rowAt, id]);
    if (!row) return;
    const { filled, values } = fillRow(row, report);
    const before = contribution(measured(row));
    const after = contribution(measured(filled));
    const added = after.map((sum, i) => sum - (before[i] ?? 0));
    if (added.every((sum) => sum === 0)) return;
    await this.#executor.run(fillEvent, [...values, row.at, row.id]);
    const { at, status, caller, model, provider, key, organization } = row;
    await this.#readDay(at, organization);
    this.#totals.add(at, status, this.#counted(at, { caller, model, provider, key, organization }), added);
    this.#sessions.add(at, { session: row.session, organization, status, caller }, added);
    this.#sessions.add(at, { session: row.run, organization, status, caller: 0 }, added);
  }

  #readDay(at: number, organization: number): Promise<void> | undefined {
    return this.#dailyNames.read(this.#executor, at, organization, this.#id(OTHERS));
  }

  /** Returns what an event of a day that was read is counted under. */
  #counted(at: number, ids: Dimensions): Dimensions {
    return this.#dailyNames.counted(at, ids, this.#id(OTHERS));
  }

  async #writeSums(): Promise<void> {
    await addTotals.run(this.#executor, this.#totals.rows());
    await addSessions.run(this.#executor, this.#sessions.rows());
  }
}

/**
 * Returns a batch in which only the last of several calls with one generation id has it. That is
 * the result of writing them one by one. Ids that are reported on within the batch are left alone.
 */
function withoutRepeatedIds(events: readonly UsageEvent[]): readonly UsageEvent[] {
  const ids = events.map(({ generationId }) => generationId).filter((id) => id !== null);
  if (new Set(ids).size === ids.length) return events;
  const reported = new Set(events.filter(({ operation }) => isReport(operation)).map(generationKey));
  const later = new Set<string>();
  const result = [...events];
  for (const [index, event] of [...events.entries()].toReversed()) {
    if (event.generationId === null) continue;
    const key = generationKey(event);
    if (reported.has(key)) continue;
    if (later.has(key)) result[index] = { ...event, generationId: null };
    else later.add(key);
  }
  return result;
}

async function storedPosition(executor: Executor, journal: string): Promise<JournalPosition> {
  const [row] = await executor.run(readPosition, [journal]);
  return row ? { segment: row.segment, offset: row.byte_offset } : JOURNAL_START;
}

const MAX_NAMES_A_DAY = 1000;

/** Maximum number of days in the copy: late events are rare, and past days need no room. */
const MAX_COPIES = 128;

/** Name under which the names beyond the bound are counted. */
const OTHERS = '(others)';

const readValues = new Statement<{ readonly value: number }>((db) =>
  db
    .selectFrom('totals')
    .select('value')
    .distinct()
    .where('resolution', '=', 0)
    .where('kind', '=', 0)
    .where('caller', '=', 0)
    .where('bucket', '=', 0),
);

/** The names of one organization and day that are counted on their own, by their ids. */
interface SeenNames {
  readonly callers: Set<number>;
  readonly models: Set<number>;
}

/**
 * The names of each organization and day that are counted on their own. A program
 * that invents names must not make a row of each: callers and models beyond the bound are counted
 * together. The totals themselves show which names have rows of their own, so that the bound holds
 * however often the usage thread comes and goes.
 */
class DailyNames {
  /** By organization and day. */
  readonly #seen = new Map<string, SeenNames>();
  /** Those that were used last: most events come in the order of time. */
  #last: { readonly organization: number; readonly day: number; readonly names: SeenNames } | undefined;

  /** Reads the names of a moment's day where they are not known; `others` is the id of OTHERS. */
  read(executor: Executor, at: number, organization: number, others: number): Promise<void> | undefined {
    const day = bucketOf(at, DAY);
    return this.#find(organization, day) ? undefined : this.#read(executor, organization, day, others);
  }

  /** Returns what an event of that moment, whose day was read, is counted under. */
  counted(at: number, ids: Dimensions, others: number): Dimensions {
    const names = this.#find(ids.organization, bucketOf(at, DAY));
    return names ? bounded(ids, names, others) : ids;
  }

  /**
   * Drops copies where there are many; between batches only, because the totals do not show what a
   * batch has seen.
   */
  trim(): void {
    if (this.#seen.size > MAX_COPIES) this.forget();
  }

  /** Drops the copies. */
  forget(): void {
    this.#seen.clear();
    this.#last = undefined;
  }

  #find(organization: number, day: number): SeenNames | undefined {
    const last = this.#last;
    if (last?.organization === organization && last.day === day) return last.names;
    const names = this.#seen.get(`${organization} ${day}`);
    if (names) this.#last = { organization, day, names };
    return names;
  }

  async #read(executor: Executor, organization: number, day: number, others: number): Promise<void> {
    const ids = async (kind: 'caller' | 'model'): Promise<Set<number>> => {
      const rows = await executor.run(readValues, [DAY, kindNumber(kind, organization), 0, day]);
      return new Set(rows.map(({ value }) => value).filter((id) => id !== 0 && id !== others));
    };
    this.#seen.set(`${organization} ${day}`, { callers: await ids('caller'), models: await ids('model') });
  }
}

function bounded(ids: Dimensions, { callers, models }: SeenNames, others: number): Dimensions {
  const caller = boundedId(ids.caller, callers, others);
  const model = boundedId(ids.model, models, others);
  return caller === ids.caller && model === ids.model ? ids : { ...ids, caller, model };
}

function boundedId(id: number, seen: Set<number>, others: number): number {
  if (id === 0 || id === others || seen.has(id)) return id;
  if (seen.size >= MAX_NAMES_A_DAY) return others;
  seen.add(id);
  return id;
}

/** Returns as many rows of parameters as are wanted; their values are replaced at each run. */
function placeholders(columns: readonly string[], rows: number) {
  const row = sql`(${sql.join(columns.map(() => 0))})`;
  return sql`values ${sql.join(Array.from({ length: rows }, () => row))}`;
}

function columnList(columns: readonly string[]) {
  return sql.join(columns.map((column) => sql.ref(column)));
}

/** Returns what a table has in a column and what is added to it. */
function addedTo(table: 'totals' | 'sessions', column: SumColumn) {
  return sql<number>`${sql.ref(`${table}.${column}`)} + ${sql.ref(`excluded.${column}`)}`;
}
