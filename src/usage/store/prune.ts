/**
 * Deletes what is past its retention, in slices: between two of them others get their turn, and wherever it is
 * interrupted the database is consistent, because each slice is a transaction and what is pruned is noted before it.
 */

import { bucketOf, BLOCK, DAY, GRAINS, HOUR, HOURS_KEPT_MS, MINUTE, MINUTES_KEPT_MS } from '../grains.ts';
import type { StoreConnection } from './connection.ts';
import { writeHorizons, type Horizons } from './notes.ts';
import { sql } from './query-builder.ts';

/** Is how many rows a slice deletes: some 5 ms. */
const SLICE_ROWS = 500;

/** Says up to when each kind of row is to go; both are epoch milliseconds. */
export interface PruneCutoffs {
  readonly events: number;
  readonly totals: number;
  readonly now: number;
}

/** Is what is deleted next: how many rows a step deleted, and of what. */
export type PruneStep = { readonly kind: 'events' | 'totals' | 'other'; readonly deleted: number };

/** Counts the events that a pruning would delete. */
export async function countPrunable({ db }: StoreConnection, before: number): Promise<number> {
  const row = await db
    .selectFrom('events')
    .select(sql<number>`count(*)`.as('count'))
    .where('at', '<', before)
    .executeTakeFirstOrThrow();
  return row.count;
}

/** Prunes slice by slice; whoever iterates decides when the next one comes. */
export async function* pruneSteps(connection: StoreConnection, cutoffs: PruneCutoffs): AsyncGenerator<PruneStep> {
  const { db } = connection;
  // Whole buckets, so that no answer is made of half a one; and noted first, so that none is made of one half deleted.
  const horizons: Horizons = {
    eventsSince: cutoffs.events,
    minutesSince: floorTo(cutoffs.now - MINUTES_KEPT_MS, GRAINS[HOUR].ms),
    hoursSince: floorTo(cutoffs.now - HOURS_KEPT_MS, GRAINS[DAY].ms),
    daysSince: floorTo(cutoffs.totals, GRAINS[DAY].ms),
  };
  await writeHorizons(db, horizons, cutoffs.now);

  const deleteEvents = sql`delete from events where (at, id) in
    (select at, id from events where at < ${cutoffs.events} order by at, id limit ${sql.lit(SLICE_ROWS)})`;
  yield* repeat(connection, 'events', deleteEvents);

  const limits = [
    { grain: MINUTE, before: horizons.minutesSince },
    { grain: HOUR, before: horizons.hoursSince },
    { grain: DAY, before: horizons.daysSince },
    // A block that has begun to go is gone: its remaining days answer for it.
    { grain: BLOCK, before: horizons.daysSince + GRAINS[BLOCK].ms - 1 },
  ] as const;
  for (const { grain, before } of limits) {
    yield* pruneTotals(connection, grain, bucketOf(before, grain));
  }

  const deleteSessions = sql`delete from sessions where (session, status) in
    (select session, status from sessions where last_at < ${horizons.hoursSince} limit ${sql.lit(SLICE_ROWS)})`;
  yield* repeat(connection, 'other', deleteSessions);
  // A text that nothing has used for longer than anything is kept stands in no row any more.
  const lastDay = bucketOf(Math.min(cutoffs.events, horizons.hoursSince, horizons.daysSince), DAY) - 1;
  const deleteNames = sql`delete from names where id in
    (select id from names where day < ${lastDay} limit ${sql.lit(SLICE_ROWS)})`;
  yield* repeat(connection, 'other', deleteNames);

  while (await connection.shrink()) yield { kind: 'other', deleted: 0 };
}

/**
 * Deletes the totals of one grain before a bucket, one view after the other: within a view they are a run of neighbours,
 * while a search over all of them would pass what is kept again in every slice.
 */
async function* pruneTotals(connection: StoreConnection, grain: number, before: number): AsyncGenerator<PruneStep> {
  const key = sql.raw('grain, kind, caller, bucket, value, status');
  for (let view = { kind: -1, caller: -1 }; ;) {
    const next = await connection.db
      .selectFrom('totals')
      .select(['kind', 'caller'])
      .where('grain', '=', grain)
      .where((where) => where(where.refTuple('kind', 'caller'), '>', where.tuple(view.kind, view.caller)))
      .orderBy('kind')
      .orderBy('caller')
      .limit(1)
      .executeTakeFirst();
    if (!next) return;
    view = next;
    const deleteTotals = sql`delete from totals where (${key}) in (select ${key} from totals
      where grain = ${grain} and kind = ${view.kind} and caller = ${view.caller} and bucket < ${before}
      limit ${sql.lit(SLICE_ROWS)})`;
    yield* repeat(connection, 'totals', deleteTotals);
  }
}

async function* repeat(
  { db }: StoreConnection,
  kind: PruneStep['kind'],
  statement: ReturnType<typeof sql>,
): AsyncGenerator<PruneStep> {
  for (;;) {
    const result = await statement.execute(db);
    const deleted = Number(result.numAffectedRows ?? 0);
    yield { kind, deleted };
    if (deleted < SLICE_ROWS) return;
  }
}

function floorTo(at: number, step: number): number {
  return Math.floor(at / step) * step;
}
