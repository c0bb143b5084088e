/**
 * Reads events themselves: a page at a time, by generation, and those whose cost is still unknown.
 * Pages are newest first for people, and oldest first for exports.
 */

import { AipassError } from '../../base/errors.ts';
import type { EventPage, EventQuery, RecordedEvent } from '../../protocol/usage.ts';
import { organizationIds, type AnswerDeps, type AskedOrganizations, type Scoped } from './answers.ts';
import { sql, type EventsTable, type Executor } from './database.ts';
import { nameIdsOf, recordedEvent } from './event-rows.ts';
import { STATUS_CODES } from './sums.ts';

const DEFAULT_EVENTS = 100;

/** Maximum number of events in a page: some 200 kB of JSON, a few milliseconds. */
const MAX_EVENTS = 500;

/** Maximum number of generations without a cost that are listed; older ones stay unknown. */
const MAX_UNPRICED = 200;

/** Reads one page, newest first or, for exports, oldest first. */
export async function readEvents(
  { executor, names }: AnswerDeps,
  query: EventQuery & Scoped,
  order: 'desc' | 'asc',
): Promise<EventPage> {
  const limit = Math.min(query.limit ?? DEFAULT_EVENTS, MAX_EVENTS);
  const key = query.keyId === undefined ? null : await names.find(executor, query.keyId);
  if (query.keyId !== undefined && key === null) return { events: [], next: null };
  const organizations =
    query.organizations === undefined ? null : await organizationIds({ executor, names }, query.organizations);

  // Events of a key are in its index by status and time. Each status is a run of neighbours, and
  // the newest of the runs are the page.
  const statuses = query.status === undefined && key !== null ? Object.values(STATUS_CODES) : [null];
  const rows: EventsTable[] = [];
  for (const each of statuses) {
    const status = each ?? (query.status === undefined ? null : STATUS_CODES[query.status]);
    rows.push(...(await readRun(executor, query, order, { key, status, organizations, limit: limit + 1 })));
  }
  rows.sort((a, b) => (a.at - b.at || a.id - b.id) * (order === 'asc' ? 1 : -1));

  const page = rows.slice(0, limit);
  const last = page.at(-1);
  const text = await names.texts(executor, page.flatMap(nameIdsOf));
  return {
    events: page.map((row) => recordedEvent(row, text)),
    next: rows.length > limit && last ? `${last.at}-${last.id}` : null,
  };
}

/** Returns the event of a generation, or null. */
export async function readGeneration(
  { executor, names }: AnswerDeps,
  generation: string,
  organizations?: AskedOrganizations,
): Promise<RecordedEvent | null> {
  let rows = executor.db.selectFrom('events').selectAll().where('generation', '=', generation).limit(1);
  if (organizations !== undefined) {
    rows = rows.where('organization', 'in', await organizationIds({ executor, names }, organizations));
  }
  const row = await rows.executeTakeFirst();
  return row ? recordedEvent(row, await names.texts(executor, nameIdsOf(row))) : null;
}

/** A generation without a cost, and the key that paid for it. */
export type UnpricedGeneration = Pick<
  RecordedEvent,
  'organization' | 'keyId' | 'model' | 'promptTokens' | 'completionTokens'
> & {
  readonly generationId: string;
};

/**
 * Lists a provider's generations since a time whose cost is unknown, newest first: a daemon that
 * was killed while it waited for them asks again. Those of failed calls are among them, because
 * what was generated is paid for.
 */
export async function listUnpriced(
  { executor, names }: AnswerDeps,
  since: number,
  provider: string,
): Promise<UnpricedGeneration[]> {
  const id = await names.find(executor, provider);
  if (id === null) return [];
  const rows = await executor.db
    .selectFrom('events')
    .selectAll()
    .where('at', '>=', since)
    .where('provider', '=', id)
    .where('generation', 'is not', null)
    .where('cost_micros', 'is', null)
    .orderBy('at', 'desc')
    .limit(MAX_UNPRICED)
    .execute();
  const text = await names.texts(executor, rows.flatMap(nameIdsOf));
  return rows.flatMap((row) => {
    const { generationId, organization, keyId, model, promptTokens, completionTokens } = recordedEvent(row, text);
    return generationId === null ? [] : [{ generationId, organization, keyId, model, promptTokens, completionTokens }];
  });
}

async function readRun(
  { db }: Executor,
  query: EventQuery,
  order: 'desc' | 'asc',
  run: {
    readonly key: number | null;
    readonly status: number | null;
    readonly organizations: readonly number[] | null;
    readonly limit: number;
  },
): Promise<EventsTable[]> {
  let rows = db.selectFrom('events').selectAll().orderBy('at', order).orderBy('id', order).limit(run.limit);
  if (query.since !== undefined) rows = rows.where('at', '>=', query.since);
  if (query.until !== undefined) rows = rows.where('at', '<', query.until);
  if (run.key !== null) rows = rows.where('key', '=', run.key);
  if (run.status !== null) rows = rows.where('status', '=', run.status);
  // Repeats the condition of the index of failures word for word, so that SQLite sees that it may
  // use the index.
  if (run.status !== null && run.status !== STATUS_CODES.success) rows = rows.where(sql<boolean>`status <> 1`);
  if (run.organizations !== null) rows = rows.where('organization', 'in', run.organizations);
  // Word for word again, for the index of the organizations' events.
  if (run.organizations?.includes(0) === false) rows = rows.where(sql<boolean>`organization <> 0`);
  if (query.after !== undefined) {
    const { at, id } = parseCursor(query.after);
    rows = rows.where((where) =>
      order === 'desc'
        ? where(where.refTuple('at', 'id'), '<', where.tuple(at, id))
        : where(where.refTuple('at', 'id'), '>', where.tuple(at, id)),
    );
  }
  return rows.execute();
}

function parseCursor(after: string): { at: number; id: number } {
  const [, at, id] = /^(\d{1,16})-(\d{1,16})$/.exec(after) ?? [];
  if (at === undefined || id === undefined) {
    throw new AipassError('BAD_REQUEST', `after: not a position in the list of events (got "${after}")`, {
      hint: 'pass "next" of the page before',
    });
  }
  return { at: Number(at), id: Number(id) };
}
