/**
 * Reads sums from the totals and sessions tables, with statements whose texts are made once.
 */

import { SUM_COLUMNS } from '../totals.ts';
import type { BucketRange } from '../grains.ts';
import { CompiledQuery, sql } from './query-builder.ts';
import type { UsageDb } from './schema.ts';

/** Is one row of sums: of what, with which status. */
export interface SumsRow {
  readonly name: number;
  readonly status: number;
  readonly sums: readonly number[];
}

/** Says which view of the totals is wanted; caller 0 is any, status null is all. */
export interface TotalsView {
  readonly kind: number;
  readonly caller: number;
  readonly status: number | null;
}

/** Keeps statements' texts for as long as their database is open: the two kinds of database spell them differently. */
const textsOf = new WeakMap<UsageDb, Map<string, string>>();

/** Sums a run of buckets by value and status. */
export async function sumTotals(db: UsageDb, view: TotalsView, range: BucketRange): Promise<SumsRow[]> {
  return readSums(db, 'value', view, range);
}

/** Reads a run of buckets by bucket and status. */
export async function sumByBucket(db: UsageDb, view: TotalsView, range: BucketRange): Promise<SumsRow[]> {
  return readSums(db, 'bucket', view, range);
}

async function readSums(db: UsageDb, by: 'value' | 'bucket', view: TotalsView, range: BucketRange): Promise<SumsRow[]> {
  const place = `${by} ${view.status === null}`;
  const texts = textsOf.get(db) ?? new Map<string, string>();
  textsOf.set(db, texts);
  let text = texts.get(place);
  if (text === undefined) {
    let query = db
      .selectFrom('totals')
      .select([by, 'status'])
      .select(SUM_COLUMNS.map((column) => sql<number>`sum(${sql.ref(column)})`.as(column)))
      .where('grain', '=', 0)
      .where('kind', '=', 0)
      .where('caller', '=', 0)
      .where('bucket', '>=', 0)
      .where('bucket', '<', 0);
    if (view.status !== null) query = query.where('status', '=', 0);
    text = query.groupBy([by, 'status']).compile().sql;
    texts.set(place, text);
  }
  const parameters = [range.grain, view.kind, view.caller, range.from, range.to];
  if (view.status !== null) parameters.push(view.status);
  const { rows } = await db.executeQuery<Record<string, number>>(CompiledQuery.raw(text, parameters));
  return rows.map((row) => ({ name: row[by] ?? 0, status: row['status'] ?? 0, sums: sumsOf(row) }));
}

/** Returns a row's sums in their order. */
export function sumsOf(row: Readonly<Record<string, unknown>>): number[] {
  return SUM_COLUMNS.map((column) => Number(row[column] ?? 0));
}
