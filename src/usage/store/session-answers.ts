/**
 * Answers by session: the sessions that were active in a range, latest first, each in full.
 */

import type { SessionUsage, UsageAnswer } from '../../protocol/usage.ts';
import type { RangePlan } from '../grains.ts';
import { FigureSums } from './figures.ts';
import type { Names } from './names.ts';
import type { UsageDb } from './schema.ts';
import { sumsOf } from './sums-query.ts';

/** Says which sessions are wanted; caller 0 is any, status null is all. */
interface SessionFilter {
  readonly caller: number;
  readonly status: number | null;
  readonly limit: number;
}

/** Lists the sessions of clients; runs of the daemon, which have no one caller, are not among them. */
export async function answerSessions(
  db: UsageDb,
  names: Names,
  plan: RangePlan,
  filter: SessionFilter,
): Promise<Pick<UsageAnswer, 'groups' | 'more'>> {
  let latest = db
    .selectFrom('sessions')
    .select(['session'])
    .where('last_at', '>=', plan.since)
    .orderBy('last_at', 'desc')
    // A session has at most three rows, one for each status.
    .limit((filter.limit + 1) * 3);
  latest = filter.caller === 0 ? latest.where('caller', '<>', 0) : latest.where('caller', '=', filter.caller);
  if (plan.until !== null) latest = latest.where('first_at', '<', plan.until);
  if (filter.status !== null) latest = latest.where('status', '=', filter.status);
  const order = [...new Set((await latest.execute()).map((row) => row.session))];
  const shown = order.slice(0, filter.limit);
  const sums = await readSessions(db, shown, filter.status);
  const text = await names.texts(db, shown);
  return {
    groups: shown.map((id) => ({ name: text(id), figures: (sums.get(id) ?? new FigureSums()).figures() })),
    more: order.length > filter.limit,
  };
}

/** Returns one session of a client, or one run of a daemon; null for one that nobody knows. */
export async function answerSession(db: UsageDb, names: Names, session: string): Promise<SessionUsage | null> {
  const id = await names.find(db, session);
  if (id === null) return null;
  const rows = await db.selectFrom('sessions').selectAll().where('session', '=', id).execute();
  if (rows.length === 0) return null;
  const sums = new FigureSums();
  for (const row of rows) sums.add(row.status, sumsOf(row));
  return {
    firstAt: Math.min(...rows.map((row) => row.first_at)),
    lastAt: Math.max(...rows.map((row) => row.last_at)),
    figures: sums.figures(),
  };
}

async function readSessions(
  db: UsageDb,
  ids: readonly number[],
  status: number | null,
): Promise<Map<number, FigureSums>> {
  const groups = new Map<number, FigureSums>();
  if (ids.length === 0) return groups;
  let query = db.selectFrom('sessions').selectAll().where('session', 'in', ids);
  if (status !== null) query = query.where('status', '=', status);
  for (const row of await query.execute()) {
    const group = groups.get(row.session) ?? new FigureSums();
    group.add(row.status, sumsOf(row));
    groups.set(row.session, group);
  }
  return groups;
}
