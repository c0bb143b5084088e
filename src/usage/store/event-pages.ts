/**
 * Reads events themselves, a page at a time: newest first for people, oldest first for exports.
 */

import { AipassError } from '../../base/errors.ts';
import type { EventPage, EventQuery, RecordedEvent } from '../../protocol/usage.ts';
import { COST_SOURCES, EVENT_STATUSES } from '../event.ts';
import { statusName } from './merge.ts';
import type { Names } from './names.ts';
import { sql } from './query-builder.ts';
import type { EventsTable, UsageDb } from './schema.ts';

const DEFAULT_EVENTS = 100;

/** Bounds a page: some 200 kB of JSON, a few milliseconds. */
const MAX_EVENTS = 500;

/** Reads one page, newest first or, for exports, oldest first. */
export async function readEvents(
  db: UsageDb,
  names: Names,
  query: EventQuery,
  order: 'desc' | 'asc' = 'desc',
): Promise<EventPage> {
  const limit = Math.min(query.limit ?? DEFAULT_EVENTS, MAX_EVENTS);
  const key = query.keyId === undefined ? null : await names.find(db, query.keyId);
  if (query.keyId !== undefined && key === null) return { events: [], next: null };

  // Events of a key stand in its index by status and time: each status is a run of neighbours, and the newest of the runs are the page.
  const statuses = query.status === undefined && key !== null ? Object.values(EVENT_STATUSES) : [null];
  const rows: EventsTable[] = [];
  for (const each of statuses) {
    const status = each ?? (query.status === undefined ? null : EVENT_STATUSES[query.status]);
    rows.push(...(await readRun(db, query, order, { key, status, limit: limit + 1 })));
  }
  rows.sort((a, b) => (a.at - b.at || a.id - b.id) * (order === 'asc' ? 1 : -1));

  const page = rows.slice(0, limit);
  const last = page.at(-1);
  const text = await names.texts(db, page.flatMap(idsOf));
  return {
    events: page.map((row) => recordedEvent(row, text)),
    next: rows.length > limit && last ? `${last.at}-${last.id}` : null,
  };
}

/** Returns the event of a generation, or null. */
export async function readGeneration(db: UsageDb, names: Names, generation: string): Promise<RecordedEvent | null> {
  const row = await db
    .selectFrom('events')
    .selectAll()
    .where('generation', '=', generation)
    .limit(1)
    .executeTakeFirst();
  return row ? recordedEvent(row, await names.texts(db, idsOf(row))) : null;
}

async function readRun(
  db: UsageDb,
  query: EventQuery,
  order: 'desc' | 'asc',
  run: { readonly key: number | null; readonly status: number | null; readonly limit: number },
): Promise<EventsTable[]> {
  let rows = db.selectFrom('events').selectAll().orderBy('at', order).orderBy('id', order).limit(run.limit);
  if (query.since !== undefined) rows = rows.where('at', '>=', query.since);
  if (query.until !== undefined) rows = rows.where('at', '<', query.until);
  if (run.key !== null) rows = rows.where('key', '=', run.key);
  if (run.status !== null) rows = rows.where('status', '=', run.status);
  // Says literally what the index of failures says, so that SQLite sees that it may use it.
  if (run.status !== null && run.status !== EVENT_STATUSES.success) rows = rows.where(sql<boolean>`status <> 1`);
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
    throw new AipassError('BAD_REQUEST', '"after" is no place in the list of events', {
      hint: 'pass "next" of the page before',
    });
  }
  return { at: Number(at), id: Number(id) };
}

function idsOf(row: EventsTable): number[] {
  const { caller, executable, session, run, provider, key, account, operation, model, error_code: error } = row;
  return [caller, executable, session, run, provider, key, account, operation, model, error];
}

function recordedEvent(row: EventsTable, text: (id: number) => string | null): RecordedEvent {
  return {
    id: `${row.at}-${row.id}`,
    at: row.at,
    caller: text(row.caller),
    uid: row.uid,
    pid: row.pid,
    executable: text(row.executable),
    session: text(row.session),
    run: text(row.run),
    provider: text(row.provider),
    keyId: text(row.key),
    account: text(row.account),
    operation: text(row.operation),
    model: text(row.model),
    status: statusName(row.status),
    errorCode: text(row.error_code),
    httpStatus: row.http_status,
    promptTokens: row.prompt_tokens,
    completionTokens: row.completion_tokens,
    cachedTokens: row.cached_tokens,
    reasoningTokens: row.reasoning_tokens,
    costMicros: row.cost_micros,
    costSource: row.cost_source === null ? null : (COST_SOURCES[row.cost_source] ?? null),
    latencyMs: row.latency_ms,
    firstTokenMs: row.first_token_ms,
    generationId: row.generation,
  };
}
