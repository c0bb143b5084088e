/**
 * The three wide inserts of the store: events, totals and sessions. Totals and sessions add to what is there.
 */

import type { SessionRow } from '../session-totals.ts';
import { SUM_COLUMNS, type TotalRow } from '../totals.ts';
import { BulkInsert } from './bulk-insert.ts';
import { sql } from './query-builder.ts';
import type { EventsTable } from './schema.ts';

/** Lists the columns of an event in the order in which they are inserted. */
export const EVENT_COLUMNS = [
  'at',
  'id',
  'caller',
  'uid',
  'pid',
  'executable',
  'session',
  'run',
  'provider',
  'key',
  'account',
  'operation',
  'model',
  'status',
  'error_code',
  'http_status',
  'prompt_tokens',
  'completion_tokens',
  'cached_tokens',
  'reasoning_tokens',
  'cost_micros',
  'cost_source',
  'latency_ms',
  'first_token_ms',
  'generation',
] as const satisfies readonly (keyof EventsTable)[];

/** Is what of an inserted event comes back: nothing for one that is there already. */
export type InsertedEvent = Pick<EventsTable, 'at' | 'id'>;

/** Inserts events; one with the identity or the generation of another is passed over. */
export function insertEvents(): BulkInsert<EventsTable, InsertedEvent> {
  return new BulkInsert(
    (db, rows) =>
      db
        .insertInto('events')
        .columns(EVENT_COLUMNS)
        .expression(placeholders(EVENT_COLUMNS, rows))
        .onConflict((conflict) => conflict.doNothing())
        .returning(['at', 'id']),
    (row) => EVENT_COLUMNS.map((column) => row[column]),
  );
}

const TOTAL_KEY = ['grain', 'kind', 'caller', 'bucket', 'value', 'status'] as const;

/** Adds rows to the totals. */
export function addTotals(): BulkInsert<TotalRow> {
  return new BulkInsert(
    (db, rows) =>
      db
        .insertInto('totals')
        .columns([...TOTAL_KEY, ...SUM_COLUMNS])
        .expression(placeholders([...TOTAL_KEY, ...SUM_COLUMNS], rows))
        .onConflict((conflict) => conflict.columns([...TOTAL_KEY]).doUpdateSet(addedUp('totals'))),
    (row) => [row.grain, row.kind, row.caller, row.bucket, row.value, row.status, ...row.sums],
  );
}

/** Adds rows to the sessions. */
export function addSessions(): BulkInsert<SessionRow> {
  const columns = ['session', 'status', 'caller', 'first_at', 'last_at'] as const;
  return new BulkInsert(
    (db, rows) =>
      db
        .insertInto('sessions')
        .columns([...columns, ...SUM_COLUMNS])
        .expression(placeholders([...columns, ...SUM_COLUMNS], rows))
        .onConflict((conflict) =>
          conflict.columns(['session', 'status']).doUpdateSet({
            ...addedUp('sessions'),
            first_at: sql<number>`case when excluded.first_at < sessions.first_at then excluded.first_at else sessions.first_at end`,
            last_at: sql<number>`case when excluded.last_at > sessions.last_at then excluded.last_at else sessions.last_at end`,
          }),
        ),
    (row) => [row.session, row.status, row.caller, row.firstAt, row.lastAt, ...row.sums],
  );
}

/** Writes as many rows of parameters as are wanted; their values only hold a place. */
function placeholders(columns: readonly string[], rows: number) {
  const row = sql`(${sql.join(columns.map(() => 0))})`;
  return sql`values ${sql.join(Array.from({ length: rows }, () => row))}`;
}

function addedUp(table: 'totals' | 'sessions') {
  return Object.fromEntries(
    SUM_COLUMNS.map((column) => [
      column,
      sql<number>`${sql.ref(`${table}.${column}`)} + ${sql.ref(`excluded.${column}`)}`,
    ]),
  );
}
