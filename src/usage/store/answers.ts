/**
 * Answers "who used what" from the totals: any range and grouping is the sum of a few runs of neighbouring rows, so an
 * answer takes as long for ten million events as for ten thousand.
 */

import { AipassError } from '../../base/errors.ts';
import type { UsageAnswer, UsageFigures, UsageGroup, UsageGrouping, UsageQuery } from '../../protocol/usage.ts';
import { EVENT_STATUSES } from '../event.ts';
import { bucketOf, bucketStart, DAY, GRAINS, HOUR, planRange, type Grain, type RangePlan } from '../grains.ts';
import { TOTAL_KINDS } from '../totals.ts';
import { sumEdge } from './edge-events.ts';
import { FigureSums } from './figures.ts';
import { statusName } from './merge.ts';
import type { Names } from './names.ts';
import { readHorizons, type Horizons } from './notes.ts';
import type { UsageDb } from './schema.ts';
import { answerSessions } from './session-answers.ts';
import { sumByBucket, sumTotals, type SumsRow, type TotalsView } from './sums-query.ts';

/** Is how many groups an answer has where the query does not say. */
const DEFAULT_GROUPS = 100;

/** Is the id of a caller that no event has. */
const NOBODY = -1;

const TIME_GRAINS: ReadonlyMap<UsageGrouping, Grain> = new Map([
  ['day', DAY],
  ['hour', HOUR],
]);

/** Answers one query. */
export async function answer(db: UsageDb, names: Names, query: UsageQuery, now: number): Promise<UsageAnswer> {
  const { by } = query;
  if (query.until !== undefined && query.until < (query.since ?? 0)) {
    throw new AipassError('BAD_REQUEST', 'the range ends before it begins', { hint: 'swap since and until' });
  }
  const caller = query.caller === undefined ? 0 : ((await names.find(db, query.caller)) ?? NOBODY);
  const status = query.status === undefined ? null : EVENT_STATUSES[query.status];
  const limit = query.limit ?? DEFAULT_GROUPS;
  const grain = by === undefined ? null : (TIME_GRAINS.get(by) ?? null);
  const horizons = await readHorizons(db, now);
  const plan = planRange({ ...wholeBuckets(query, grain), ...horizons });
  const head = { since: plan.since, until: plan.until };
  const everything: TotalsView = { kind: TOTAL_KINDS.all, caller, status };

  if (by === 'session') {
    const total = totalOf(await readPlan(db, plan, everything, horizons));
    return { ...head, total, ...(await answerSessions(db, names, plan, { caller, status, limit })) };
  }
  if (grain !== null) {
    const total = totalOf(await readPlan(db, plan, everything, horizons));
    return { ...head, total, ...(await answerByTime(db, grain, plan, everything, limit, now, horizons)) };
  }

  // The calls of one caller are kept as such; by caller are kept those of all.
  const kind = by === 'model' || by === 'provider' || by === 'key' || (by === 'caller' && caller === 0) ? by : 'all';
  const rows = await readPlan(db, plan, { kind: TOTAL_KINDS[kind], caller, status }, horizons);
  const sums = groupRows(rows, by === 'status' ? (row) => row.status : (row) => row.name);
  const text = await names.texts(db, [...sums.keys(), caller]);
  const nameOf = (group: number): string | null => {
    if (by === 'status') return statusName(group);
    return text(kind === 'all' ? caller : group);
  };
  const groups = [...sums]
    .map(([group, each]): UsageGroup => ({ name: nameOf(group), figures: each.figures() }))
    // What happened only in buckets that were taken away again did not happen in the range.
    .filter(({ figures }) => isUsed(figures));
  groups.sort(byRequests);
  return {
    ...head,
    total: totalOf(rows),
    groups: by === undefined ? [] : groups.slice(0, limit),
    more: by !== undefined && groups.length > limit,
  };
}

function isUsed({ requests, releases }: UsageFigures): boolean {
  return requests + releases > 0;
}

function byRequests(a: UsageGroup, b: UsageGroup): number {
  const difference = b.figures.requests - a.figures.requests || b.figures.releases - a.figures.releases;
  return difference || (a.name ?? '\uffff').localeCompare(b.name ?? '\uffff');
}

/** Widens the range to whole buckets where it is to be cut into them. */
function wholeBuckets(query: UsageQuery, grain: Grain | null): { since: number; until: number | null } {
  const step = grain === null ? 1 : GRAINS[grain].ms;
  const until = query.until === undefined ? null : Math.ceil(query.until / step) * step;
  return { since: Math.floor((query.since ?? 0) / step) * step, until };
}

async function readPlan(db: UsageDb, plan: RangePlan, view: TotalsView, horizons: Horizons): Promise<SumsRow[]> {
  const rows: SumsRow[] = [];
  for (const range of plan.buckets) {
    const found = await sumTotals(db, view, range);
    rows.push(...(range.sign === 1 ? found : found.map((row) => ({ ...row, sums: row.sums.map((sum) => -sum) }))));
  }
  for (const edge of plan.edges) rows.push(...(await sumEdge(db, view, edge, horizons.eventsSince)));
  return rows;
}

async function answerByTime(
  db: UsageDb,
  grain: Grain,
  plan: RangePlan,
  view: TotalsView,
  limit: number,
  now: number,
  horizons: Horizons,
): Promise<Pick<UsageAnswer, 'groups' | 'more'>> {
  const end = plan.until ?? Math.max(now, plan.since) + 1;
  const last = bucketOf(end - 1, grain);
  const first = bucketOf(grain === HOUR ? Math.max(plan.since, horizons.hoursSince) : plan.since, grain);
  const from = Math.max(first, last - limit + 1);
  const rows = await sumByBucket(db, view, { grain, from, to: last + 1 });
  const sums = groupRows(rows, (row) => row.name);
  const groups = [...sums]
    .sort(([a], [b]) => a - b)
    .map(([bucket, each]) => ({ name: timeName(bucket, grain), figures: each.figures() }));
  // Before the first one that fits there is more only if anything happened then.
  const earlier = planRange({ since: plan.since, until: bucketStart(from, grain), ...horizons });
  const more = from > first && isUsed(totalOf(await readPlan(db, earlier, view, horizons)));
  return { groups, more };
}

function timeName(bucket: number, grain: Grain): string {
  const iso = new Date(bucketStart(bucket, grain)).toISOString();
  return grain === DAY ? iso.slice(0, 10) : `${iso.slice(0, 16)}Z`;
}

function groupRows(rows: readonly SumsRow[], groupOf: (row: SumsRow) => number): Map<number, FigureSums> {
  const groups = new Map<number, FigureSums>();
  for (const row of rows) {
    const group = groups.get(groupOf(row)) ?? new FigureSums();
    group.add(row.status, row.sums);
    groups.set(groupOf(row), group);
  }
  return groups;
}

function totalOf(rows: readonly SumsRow[]): UsageFigures {
  const total = new FigureSums();
  for (const row of rows) total.add(row.status, row.sums);
  return total.figures();
}
