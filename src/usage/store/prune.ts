/**
 * Deletes what is past its retention, in slices. Between two of them others get their turn. The
 * database is consistent wherever that is interrupted: each slice is a transaction, and what is
 * pruned is noted before it.
 */

import { sql, type StoreConnection } from './database.ts';
import { writeHorizons, type Horizons } from './notes.ts';
import {
  BLOCK,
  bucketOf,
  DAY,
  floorTo,
  HOUR,
  HOURS_KEPT_MS,
  MINUTE,
  MINUTES_KEPT_MS,
  RESOLUTIONS,
  type Resolution,
} from './resolutions.ts';

/** Number of rows that a slice deletes: some 5 ms. */
const SLICE_ROWS = 500;

/** Times before which each kind of row is deleted, and now, in epoch milliseconds. */
export interface PruneCutoffs {
  readonly events: number;
  readonly totals: number;
  readonly now: number;
}

/** Number of rows that a step deleted, and of what. */
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

/** Prunes slice by slice; the iterating code decides when the next one comes. */
export async function* pruneSteps(connection: StoreConnection, cutoffs: PruneCutoffs): AsyncGenerator<PruneStep> {
  // Only whole buckets are deleted, and the cutoffs are noted first, so that no answer is made of a
  // partial bucket.
  const horizons: Horizons = {
    eventsSince: cutoffs.events,
    minutesSince: floorTo(cutoffs.now - MINUTES_KEPT_MS, RESOLUTIONS[HOUR].ms),
    hoursSince: floorTo(cutoffs.now - HOURS_KEPT_MS, RESOLUTIONS[DAY].ms),
    daysSince: floorTo(cutoffs.totals, RESOLUTIONS[DAY].ms),
  };
  await writeHorizons(connection, horizons, cutoffs.now);

  const deleteEvents = sql`delete from events where (at, id) in
    (select at, id from events where at < ${cutoffs.events} order by at, id limit ${sql.lit(SLICE_ROWS)})`;
  yield* repeat(connection, 'events', deleteEvents);

  const limits = [
    { resolution: MINUTE, before: horizons.minutesSince },
    { resolution: HOUR, before: horizons.hoursSince },
    { resolution: DAY, before: horizons.daysSince },
    // A block goes as soon as one of its days goes: the days that remain answer for it.
    { resolution: BLOCK, before: horizons.daysSince + RESOLUTIONS[BLOCK].ms - 1 },
  ] as const;
  for (const { resolution, before } of limits) {
    yield* pruneTotals(connection, resolution, bucketOf(before, resolution));
  }

  const deleteSessions = sql`delete from sessions where (session, organization, status) in
    (select session, organization, status from sessions where last_at < ${horizons.hoursSince} limit ${sql.lit(SLICE_ROWS)})`;
  yield* repeat(connection, 'other', deleteSessions);
  // No row refers to a text that was last used before everything that is kept.
  const lastDay = bucketOf(Math.min(cutoffs.events, horizons.hoursSince, horizons.daysSince), DAY) - 1;
  const deleteNames = sql`delete from names where id in
    (select id from names where day < ${lastDay} limit ${sql.lit(SLICE_ROWS)})`;
  yield* repeat(connection, 'other', deleteNames);

  while (await connection.shrink()) yield { kind: 'other', deleted: 0 };
}

/**
 * Deletes the totals of one resolution before a bucket, one view after the other. Within a view
 * they are a run of neighbours. A search over all of them would pass what is kept again in every
 * slice.
 */
async function* pruneTotals(
  connection: StoreConnection,
  resolution: Resolution,
  before: number,
): AsyncGenerator<PruneStep> {
  const key = sql.raw('resolution, kind, caller, bucket, value, status');
  for (let view = { kind: -1, caller: -1 }; ;) {
    const next = await connection.db
      .selectFrom('totals')
      .select(['kind', 'caller'])
      .where('resolution', '=', resolution)
      .where((where) => where(where.refTuple('kind', 'caller'), '>', where.tuple(view.kind, view.caller)))
      .orderBy('kind')
      .orderBy('caller')
      .limit(1)
      .executeTakeFirst();
    if (!next) return;
    view = next;
    const deleteTotals = sql`delete from totals where (${key}) in (select ${key} from totals
      where resolution = ${resolution} and kind = ${view.kind} and caller = ${view.caller} and bucket < ${before}
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
