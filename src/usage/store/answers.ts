/**
 * Answers "who used what" from the totals. Any range and grouping is the sum of a few runs of
 * neighbouring rows. So an answer takes as long for ten million events as for ten thousand. Only
 * where a range begins or ends inside a minute are that minute's events summed themselves.
 */

import { DEFAULT_ORGANIZATION } from '../../protocol/credential.ts';
import { AipassError } from '../../base/errors.ts';
import {
  USAGE_STATUSES,
  type RecentCount,
  type RecentQuery,
  type SessionUsage,
  type UsageAnswer,
  type UsageFigures,
  type UsageGroup,
  type UsageGrouping,
  type UsageQuery,
} from '../../protocol/usage.ts';
import { sql, Statement, type Executor } from './database.ts';
import { measured, type NamedRow } from './event-rows.ts';
import type { Names } from './names.ts';
import { readHorizons, type Horizons } from './notes.ts';
import {
  bucketOf,
  bucketStart,
  DAY,
  HOUR,
  MINUTE,
  planRange,
  RESOLUTIONS,
  type BucketRange,
  type RangePlan,
  type Resolution,
} from './resolutions.ts';
import { contribution, FigureSums, statusName, STATUS_CODES, SUM_COLUMNS, sumsOf } from './sums.ts';
import { kindNumber, organizationOfKind, type TotalKind } from './totals.ts';

/** Number of groups in an answer where the query names none. */
const DEFAULT_GROUPS = 100;

/**
 * Maximum number of events that are read for a part of a minute. Beyond it the whole minute is
 * taken, which then is hardly less exact.
 */
const MAX_EDGE_EVENTS = 4000;

/** Id of a caller that no event has. */
const NOBODY = -1;

/** One row of sums: of what, with which status. */
interface SumsRow {
  /** Id of the name, or number of the bucket, that the sums are of. */
  readonly group: number;
  readonly status: number;
  readonly sums: readonly number[];
}

/** The organizations that are asked about, by name; undefined is every one. */
export type AskedOrganizations = readonly string[] | undefined;

/** The part of a question that its caller cannot choose freely. */
export interface Scoped {
  readonly organizations?: AskedOrganizations;
}

/**
 * A view of the totals of some organizations, by the ids of their names; caller 0 is any, status
 * null is all. With the kind `organization` it has the sums of each organization.
 */
interface TotalsView {
  readonly organizations: readonly number[];
  readonly kind: TotalKind | 'organization';
  readonly caller: number;
  readonly status: number | null;
}

type SumsRecord = Readonly<Record<string, number>>;

/** Sums of a run of buckets: by value or by bucket, of one status or of all. */
const SUMS = {
  value: { one: sumsStatement('value', true), all: sumsStatement('value', false) },
  bucket: { one: sumsStatement('bucket', true), all: sumsStatement('bucket', false) },
} as const;

function sumsStatement(by: 'value' | 'bucket', isOneStatus: boolean): Statement<SumsRecord> {
  return new Statement((db) => {
    const query = db
      .selectFrom('totals')
      .select([by, 'status'])
      .select(SUM_COLUMNS.map((column) => sql<number>`sum(${sql.ref(column)})`.as(column)))
      .where('resolution', '=', 0)
      .where('kind', '=', 0)
      .where('caller', '=', 0)
      .where('bucket', '>=', 0)
      .where('bucket', '<', 0);
    return (isOneStatus ? query.where('status', '=', 0) : query).groupBy([by, 'status']);
  });
}

const readEdge = new Statement<NamedRow>((db) =>
  db
    .selectFrom('events')
    .innerJoin('names', 'names.id', 'events.operation')
    .selectAll('events')
    .select('names.text as operation_name')
    .where('at', '>=', 0)
    .where('at', '<', 0)
    .limit(0),
);

/** Database and dictionary that answers are read from. */
export interface AnswerDeps {
  readonly executor: Executor;
  readonly names: Names;
}

/** Returns the ids of organizations, of those that have any usage; the default one is 0. */
export async function organizationIds(
  { executor, names }: AnswerDeps,
  organizations: readonly string[],
): Promise<readonly number[]> {
  // A list for a database must not be empty.
  const ids = [NOBODY];
  for (const name of organizations) {
    ids.push(name === DEFAULT_ORGANIZATION ? 0 : ((await names.find(executor, name)) ?? NOBODY));
  }
  return ids;
}

const nextKind = new Statement<{ readonly kind: number }>((db) =>
  db.selectFrom('totals').select('kind').where('resolution', '=', 0).where('kind', '>=', 0).orderBy('kind').limit(1),
);

/** Returns the ids of all organizations that have totals: a step in the table's key for each. */
async function allOrganizations(executor: Executor): Promise<readonly number[]> {
  const ids: number[] = [];
  for (let kind = 0; ;) {
    const [row] = await executor.run(nextKind, [DAY, kind, 1]);
    if (!row) return ids;
    const id = organizationOfKind(row.kind);
    ids.push(id);
    kind = kindNumber('all', id + 1);
  }
}

/** Answers one query. */
export async function answer(
  { executor, names }: AnswerDeps,
  query: UsageQuery & Scoped,
  now: number,
): Promise<UsageAnswer> {
  const { by } = query;
  if (query.until !== undefined && query.until < (query.since ?? 0)) {
    throw new AipassError('BAD_REQUEST', 'the range ends before it begins', { hint: 'swap since and until' });
  }
  const caller = query.caller === undefined ? 0 : ((await names.find(executor, query.caller)) ?? NOBODY);
  const status = query.status === undefined ? null : STATUS_CODES[query.status];
  const limit = query.limit ?? DEFAULT_GROUPS;
  const resolution = by === 'day' ? DAY : by === 'hour' ? HOUR : null;
  const horizons = await readHorizons(executor, now);
  const plan = planRange({ ...wholeBuckets(query, resolution), ...horizons });
  const head = { since: plan.since, until: plan.until };
  const organizations =
    query.organizations === undefined
      ? await allOrganizations(executor)
      : await organizationIds({ executor, names }, query.organizations);
  const everything: TotalsView = { organizations, kind: 'all', caller, status };

  if (by === 'session' || resolution !== null) {
    const total = totalOf(await readPlan(executor, plan, everything, horizons));
    const groups =
      resolution === null
        ? await answerSessions({ executor, names }, plan, { organizations, caller, status, limit })
        : await answerByTime(executor, resolution, plan, everything, limit, now, horizons);
    return { ...head, total, ...groups };
  }

  const kind = kindOf(by, caller);
  const rows = await readPlan(executor, plan, { ...everything, kind }, horizons);
  const sums = groupRows(rows, by === 'status' ? (row) => row.status : (row) => row.group);
  const text = await names.texts(executor, [...sums.keys(), caller]);
  const nameOf = (group: number): string | null => {
    if (by === 'status') return statusName(group);
    if (by === 'organization') return group === 0 ? DEFAULT_ORGANIZATION : text(group);
    return text(kind === 'all' ? caller : group);
  };
  const groups = [...sums]
    .map(([group, each]): UsageGroup => ({ name: nameOf(group), figures: each.figures() }))
    .filter(({ figures }) => isUsed(figures));
  groups.sort(byRequests);
  return {
    ...head,
    total: totalOf(rows),
    groups: by === undefined ? [] : groups.slice(0, limit),
    more: by !== undefined && groups.length > limit,
  };
}

/**
 * Counts attempts of the last seconds, by status and by key: apipool's questions. `keyIds` are
 * listed even where they had none.
 */
export async function countRecent(
  deps: AnswerDeps,
  query: RecentQuery & Scoped,
  keyIds: readonly string[],
  now: number,
): Promise<RecentCount> {
  const { organizations } = query;
  const since = Math.max(0, now - query.seconds * 1000);
  const statuses = query.status === undefined ? USAGE_STATUSES : [query.status];
  const byStatus = { success: 0, failed: 0, reach_limit: 0 };
  const byKey = new Map<string | null, number>();
  for (const keyId of query.keyId === undefined ? keyIds : [query.keyId]) byKey.set(keyId, 0);
  // Keys belong to one provider each, so its keys are the ones that were given. Asked of a copy:
  // attempts without a key join the counts, and those of other providers must not follow them.
  const listedKeys: ReadonlySet<string | null> = new Set(byKey.keys());
  const isWanted = (keyId: string | null): boolean =>
    query.keyId === undefined ? query.provider === undefined || listedKeys.has(keyId) : keyId === query.keyId;
  for (const status of statuses) {
    const { groups } = await answer(deps, { since, by: 'key', status, limit: Infinity, organizations }, now);
    for (const { name, figures } of groups) {
      if (!isWanted(name) || figures.attempts === 0) continue;
      byStatus[status] += figures.attempts;
      byKey.set(name, (byKey.get(name) ?? 0) + figures.attempts);
    }
    if (query.provider === undefined || query.keyId !== undefined) continue;
    // Keys that are gone, and calls that found no key, are the provider's too.
    const providers = await answer(deps, { since, by: 'provider', status, limit: Infinity, organizations }, now);
    const attempts = providers.groups.find(({ name }) => name === query.provider)?.figures.attempts ?? 0;
    const others = Math.max(0, attempts - byStatus[status]);
    if (others > 0) byKey.set(null, (byKey.get(null) ?? 0) + others);
    byStatus[status] += others;
  }
  const listed = [...byKey].map(([keyId, requests]) => ({ keyId, requests }));
  return {
    total: byStatus.success + byStatus.failed + byStatus.reach_limit,
    byStatus,
    byKey: listed.sort((a, b) => b.requests - a.requests || String(a.keyId).localeCompare(String(b.keyId))),
  };
}

/** Returns one session of a client, or one run of a daemon; null for an unknown one. */
export async function answerSession(
  { executor, names }: AnswerDeps,
  session: string,
  organizations?: AskedOrganizations,
): Promise<SessionUsage | null> {
  const id = await names.find(executor, session);
  if (id === null) return null;
  let query = executor.db.selectFrom('sessions').selectAll().where('session', '=', id);
  if (organizations !== undefined) {
    query = query.where('organization', 'in', await organizationIds({ executor, names }, organizations));
  }
  const rows = await query.execute();
  if (rows.length === 0) return null;
  const sums = new FigureSums();
  for (const row of rows) sums.add(row.status, sumsOf(row));
  return {
    firstAt: Math.min(...rows.map((row) => row.first_at)),
    lastAt: Math.max(...rows.map((row) => row.last_at)),
    figures: sums.figures(),
  };
}

/** Returns the kind of totals that a grouping is summed from. */
function kindOf(by: UsageGrouping | undefined, caller: number): TotalsView['kind'] {
  switch (by) {
    case 'model':
    case 'provider':
    case 'key':
    case 'organization':
      return by;
    case 'caller':
      // The totals of one caller are a scope of their own; the kind "caller" has those of all.
      return caller === 0 ? 'caller' : 'all';
    case 'status':
    case 'day':
    case 'hour':
    case 'session':
    case undefined:
      return 'all';
  }
}

function isUsed({ attempts, releases }: UsageFigures): boolean {
  return attempts + releases > 0;
}

function byRequests(a: UsageGroup, b: UsageGroup): number {
  const [one, other] = [a.figures, b.figures];
  const difference = other.requests - one.requests || other.attempts - one.attempts || other.releases - one.releases;
  return difference || (a.name ?? '\uffff').localeCompare(b.name ?? '\uffff');
}

/** Widens the range to whole buckets where it is to be cut into them. */
function wholeBuckets(query: UsageQuery, resolution: Resolution | null): { since: number; until: number | null } {
  const step = resolution === null ? 1 : RESOLUTIONS[resolution].ms;
  const until = query.until === undefined ? null : Math.ceil(query.until / step) * step;
  return { since: Math.floor((query.since ?? 0) / step) * step, until };
}

async function readPlan(executor: Executor, plan: RangePlan, view: TotalsView, horizons: Horizons): Promise<SumsRow[]> {
  const rows: SumsRow[] = [];
  for (const range of plan.buckets) {
    rows.push(...(await sumBuckets(executor, 'value', view, range)));
  }
  for (const edge of plan.edges) rows.push(...(await sumEdge(executor, view, edge, horizons.eventsSince)));
  return rows;
}

async function sumBuckets(
  executor: Executor,
  by: 'value' | 'bucket',
  view: TotalsView,
  range: BucketRange,
): Promise<SumsRow[]> {
  const sums: SumsRow[] = [];
  const isOfEach = view.kind === 'organization';
  const kind = view.kind === 'organization' ? 'all' : view.kind;
  for (const organization of view.organizations) {
    const values = [range.resolution, kindNumber(kind, organization), view.caller, range.from, range.to];
    if (view.status !== null) values.push(view.status);
    const rows = await executor.run(SUMS[by][view.status === null ? 'all' : 'one'], values);
    for (const row of rows) {
      sums.push({ group: isOfEach ? organization : (row[by] ?? 0), status: row['status'] ?? 0, sums: sumsOf(row) });
    }
  }
  return sums;
}

/** Sums the events of a part of a minute; where its events are pruned, the whole minute. */
async function sumEdge(
  executor: Executor,
  view: TotalsView,
  edge: { readonly from: number; readonly to: number },
  eventsSince: number,
): Promise<SumsRow[]> {
  const minute = bucketOf(edge.from, MINUTE);
  const wholeMinute = { resolution: MINUTE, from: minute, to: minute + 1 } as const;
  if (edge.from < eventsSince) return sumBuckets(executor, 'value', view, wholeMinute);
  const events = await executor.run(readEdge, [edge.from, edge.to, MAX_EDGE_EVENTS + 1]);
  if (events.length > MAX_EDGE_EVENTS) return sumBuckets(executor, 'value', view, wholeMinute);
  return events
    .filter(
      ({ caller, status, organization }) =>
        (view.caller || caller) === caller &&
        (view.status ?? status) === status &&
        view.organizations.includes(organization),
    )
    .map((event) => ({
      group: view.kind === 'all' ? 0 : event[view.kind],
      status: event.status,
      sums: contribution(measured(event)),
    }));
}

async function answerByTime(
  executor: Executor,
  resolution: Resolution,
  plan: RangePlan,
  view: TotalsView,
  limit: number,
  now: number,
  horizons: Horizons,
): Promise<Pick<UsageAnswer, 'groups' | 'more'>> {
  const end = plan.until ?? Math.max(now, plan.since) + 1;
  const last = bucketOf(end - 1, resolution);
  const first = bucketOf(resolution === HOUR ? Math.max(plan.since, horizons.hoursSince) : plan.since, resolution);
  const from = Math.max(first, last - limit + 1);
  const rows = await sumBuckets(executor, 'bucket', view, { resolution, from, to: last + 1 });
  const sums = groupRows(rows, (row) => row.group);
  const groups = [...sums]
    .sort(([a], [b]) => a - b)
    .map(([bucket, each]) => ({ name: timeName(bucket, resolution), figures: each.figures() }));
  // There are more groups only if anything happened before the first one that fits.
  const earlier = planRange({ since: plan.since, until: bucketStart(from, resolution), ...horizons });
  const more = from > first && isUsed(totalOf(await readPlan(executor, earlier, view, horizons)));
  return { groups, more };
}

function timeName(bucket: number, resolution: Resolution): string {
  const iso = new Date(bucketStart(bucket, resolution)).toISOString();
  return resolution === DAY ? iso.slice(0, 10) : `${iso.slice(0, 16)}Z`;
}

/**
 * Lists the sessions of clients that were active in a range, latest first, each in full. Runs of
 * the daemon, which have no one caller, are not among them.
 */
async function answerSessions(
  { executor, names }: AnswerDeps,
  plan: RangePlan,
  filter: Pick<TotalsView, 'organizations' | 'caller' | 'status'> & { readonly limit: number },
): Promise<Pick<UsageAnswer, 'groups' | 'more'>> {
  let latest = executor.db
    .selectFrom('sessions')
    .select(['session'])
    .where('last_at', '>=', plan.since)
    .where('organization', 'in', filter.organizations)
    .orderBy('last_at', 'desc')
    // A session has at most three rows, one for each status, in each organization.
    .limit((filter.limit + 1) * 3 * filter.organizations.length);
  latest = filter.caller === 0 ? latest.where('caller', '<>', 0) : latest.where('caller', '=', filter.caller);
  if (plan.until !== null) latest = latest.where('first_at', '<', plan.until);
  if (filter.status !== null) latest = latest.where('status', '=', filter.status);
  const order = [...new Set((await latest.execute()).map((row) => row.session))];
  const shown = order.slice(0, filter.limit);
  const sums = await readSessions(executor, shown, filter);
  const text = await names.texts(executor, shown);
  return {
    groups: shown.map((id) => ({ name: text(id), figures: (sums.get(id) ?? new FigureSums()).figures() })),
    more: order.length > filter.limit,
  };
}

async function readSessions(
  executor: Executor,
  ids: readonly number[],
  { organizations, status }: Pick<TotalsView, 'organizations' | 'status'>,
): Promise<Map<number, FigureSums>> {
  if (ids.length === 0) return new Map();
  let query = executor.db
    .selectFrom('sessions')
    .selectAll()
    .where('session', 'in', ids)
    .where('organization', 'in', organizations);
  if (status !== null) query = query.where('status', '=', status);
  const rows = await query.execute();
  return groupRows(
    rows.map((row) => ({ group: row.session, status: row.status, sums: sumsOf(row) })),
    (row) => row.group,
  );
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
