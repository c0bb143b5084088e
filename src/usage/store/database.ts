/**
 * The usage database as the store sees it: its tables, an open connection, and statements whose
 * texts are built once. Owns the kysely package: the parts of it that the store uses come from
 * here.
 *
 * Every text that repeats stands once in `names`, and rows hold its number; 0 is "none". Times are
 * epoch milliseconds.
 */

import type { Generated, Kysely } from 'kysely';
import type { EVENT_COLUMNS, EventColumn, EventField } from '../../protocol/usage.ts';
import type { SumColumn } from './sums.ts';

export { CompiledQuery, Kysely, PostgresDialect, SqliteAdapter, SqliteDialect, sql } from 'kysely';
export type { ColumnBuilderCallback, CreateTableBuilder, SqliteDatabase } from 'kysely';
export { Migrator } from 'kysely/migration';
export type { Migration } from 'kysely/migration';

/** Kinds of database. */
export type DialectName = 'sqlite' | 'postgres';

/** Values that a statement takes and returns. */
export type SqlValue = number | string | null;

/** Maps each table to its columns; migrations.ts makes them. */
export interface UsageTables {
  readonly names: NamesTable;
  readonly events: EventsTable;
  readonly totals: TotalsTable;
  readonly sessions: SessionsTable;
  readonly positions: PositionsTable;
  readonly notes: NotesTable;
}

/** Each repeating text once; `day` is the last day (since 1970) it was used on, for pruning. */
interface NamesTable {
  readonly id: Generated<number>;
  readonly text: string;
  readonly day: number;
}

/** The events themselves, ordered by time, so that pruning takes a run of neighbours. */
export type EventsTable = {
  readonly [Field in EventField as (typeof EVENT_COLUMNS)[Field]['column']]: StoredValue<(typeof EVENT_COLUMNS)[Field]>;
};

/** Type of a column in the database. */
type StoredValue<Column extends EventColumn> = Column['kind'] extends 'id' | 'time' | 'name' | 'status' | 'flag'
  ? number
  : Column['kind'] extends 'text'
    ? string | null
    : number | null;

/** The sums of one bucket of time for one view of it; see totals.ts. */
type TotalsTable = {
  readonly resolution: number;
  readonly kind: number;
  readonly caller: number;
  readonly bucket: number;
  readonly value: number;
  readonly status: number;
} & Readonly<Record<SumColumn, number>>;

/** The sums of one session, or of one run of a daemon, by organization and status. */
type SessionsTable = {
  readonly session: number;
  readonly organization: number;
  readonly status: number;
  readonly caller: number;
  readonly first_at: number;
  readonly last_at: number;
} & Readonly<Record<SumColumn, number>>;

/** Position up to which each daemon's journal was read into this database. */
interface PositionsTable {
  readonly journal: string;
  readonly segment: number;
  readonly byte_offset: number;
}

/** Notes that must outlive a restart: how far was pruned, and which files were imported. */
interface NotesTable {
  readonly name: string;
  readonly value: string;
}

/** The database with these tables, or a transaction in it. */
export type UsageDb = Kysely<UsageTables>;

/**
 * A statement whose text is built once for each connection: building one with kysely takes a
 * hundred times as long as running it. `build` gives placeholder values; the values of a run come
 * in the order in which they stand in the text.
 */
export class Statement<Row = never> {
  readonly build: (db: UsageDb) => { compile(): { readonly sql: string } };
  /** Never set; ties the statement to the type of its rows. */
  declare readonly row?: Row;

  constructor(build: (db: UsageDb) => { compile(): { readonly sql: string } }) {
    this.build = build;
  }
}

/** Runs statements: on a connection, or in a transaction on it. */
export interface Executor {
  readonly db: UsageDb;
  readonly dialect: DialectName;
  /** Runs a statement and returns its rows, at once where the database is in this process. */
  run<Row>(statement: Statement<Row>, values: readonly SqlValue[]): Promise<Row[]> | Row[];
  /**
   * Runs a statement that returns no rows, and returns the number of rows that it changed; only
   * where the database is in this process.
   */
  readonly change?: (statement: Statement, values: readonly SqlValue[]) => number;
}

/** An open database with its tables up to date. One caller at a time. */
export interface StoreConnection extends Executor {
  /**
   * Content of the database's place before it was opened. A file of 0 bytes is what a full disk or
   * a failed copy leaves.
   */
  readonly found: 'database' | 'empty' | 'nothing';
  /** Runs `work` in a transaction, or undoes it. */
  transaction<T>(work: (executor: Executor) => Promise<T>): Promise<T>;
  /** Returns whether the database's file was removed or replaced since it was opened. */
  isGone(): boolean;
  /**
   * Gives a little of the room that pruning freed back to the disk; returns whether there is more
   * to give.
   */
  shrink(): Promise<boolean>;
  /** Returns the size of the database in bytes. */
  bytes(): Promise<number>;
  close(): Promise<void>;
}

/**
 * Numbers of rows that one insert statement holds, largest first; few, so that each is prepared
 * once. SQLite runs wide statements no faster than narrow ones, while each statement costs
 * PostgreSQL a round trip.
 */
const SIZES: Readonly<Record<DialectName, readonly number[]>> = { sqlite: [1], postgres: [128, 16, 1] };

/** One kind of insert, of many rows. */
export class BulkInsert<Row, Returned = never> {
  readonly #build: (db: UsageDb, rows: number) => { compile(): { readonly sql: string } };
  readonly #flatten: (row: Row) => readonly SqlValue[];
  readonly #statements = new Map<number, Statement<Returned>>();

  /**
   * `build` builds the statement for a number of rows; `flatten` returns a row's values in the
   * order of its columns.
   */
  constructor(
    build: (db: UsageDb, rows: number) => { compile(): { readonly sql: string } },
    flatten: (row: Row) => readonly SqlValue[],
  ) {
    this.#build = build;
    this.#flatten = flatten;
  }

  /** Inserts the rows and returns what the statements return. */
  async run(executor: Executor, rows: readonly Row[]): Promise<Returned[]> {
    const returned: Returned[] = [];
    let start = 0;
    for (const size of SIZES[executor.dialect]) {
      const statement = this.#statement(size);
      for (; rows.length - start >= size; start += size) {
        const slice = rows.slice(start, start + size);
        const [first] = slice;
        const isOne = size === 1 && first !== undefined;
        const ran = executor.run(statement, isOne ? this.#flatten(first) : slice.flatMap(this.#flatten));
        for (const row of ran instanceof Promise ? await ran : ran) returned.push(row);
      }
    }
    return returned;
  }

  #statement(size: number): Statement<Returned> {
    const statement = this.#statements.get(size) ?? new Statement<Returned>((db) => this.#build(db, size));
    this.#statements.set(size, statement);
    return statement;
  }
}
