/**
 * The tables of the usage database, as TypeScript sees them; migrations.ts makes them.
 *
 * Every text that repeats stands once in `names`, and rows hold its number; 0 is "none". Times are epoch milliseconds.
 */

import type { SumColumn } from '../totals.ts';
import type { Generated, Kysely } from './query-builder.ts';

/** Maps each table to its columns. */
export interface UsageTables {
  readonly names: NamesTable;
  readonly events: EventsTable;
  readonly totals: TotalsTable;
  readonly sessions: SessionsTable;
  readonly positions: PositionsTable;
  readonly notes: NotesTable;
}

/** Holds each repeating text once; `day` is the last day (since 1970) it was used on, for pruning. */
export interface NamesTable {
  readonly id: Generated<number>;
  readonly text: string;
  readonly day: number;
}

/** Holds the events themselves, ordered by time, so that pruning takes a run of neighbours. */
export interface EventsTable {
  readonly at: number;
  readonly id: number;
  readonly caller: number;
  readonly uid: number | null;
  readonly pid: number | null;
  readonly executable: number;
  readonly session: number;
  readonly run: number;
  readonly provider: number;
  readonly key: number;
  readonly account: number;
  readonly operation: number;
  readonly model: number;
  readonly status: number;
  readonly error_code: number;
  readonly http_status: number | null;
  readonly prompt_tokens: number | null;
  readonly completion_tokens: number | null;
  readonly cached_tokens: number | null;
  readonly reasoning_tokens: number | null;
  readonly cost_micros: number | null;
  readonly cost_source: number | null;
  readonly latency_ms: number | null;
  readonly first_token_ms: number | null;
  readonly generation: string | null;
}

/** Holds the sums of a bucket of time for one view of it; see totals.ts. */
export type TotalsTable = {
  readonly grain: number;
  readonly kind: number;
  readonly caller: number;
  readonly bucket: number;
  readonly value: number;
  readonly status: number;
} & Readonly<Record<SumColumn, number>>;

/** Holds the sums of one session, or of one run of a daemon, by status. */
export type SessionsTable = {
  readonly session: number;
  readonly status: number;
  readonly caller: number;
  readonly first_at: number;
  readonly last_at: number;
} & Readonly<Record<SumColumn, number>>;

/** Holds how far each daemon's journal was read into this database. */
export interface PositionsTable {
  readonly journal: string;
  readonly segment: number;
  readonly byte_offset: number;
}

/** Holds what else must outlive a restart: how far was pruned, and which files were imported. */
export interface NotesTable {
  readonly name: string;
  readonly value: string;
}

/** Is the database with these tables, or a transaction in it. */
export type UsageDb = Kysely<UsageTables>;
