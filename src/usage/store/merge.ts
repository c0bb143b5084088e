/**
 * What happens when a generation is told of twice: the first event stands, and the second fills in what the first did
 * not know (tokens, cost), in the event and in the totals that it was counted in.
 */

import { COST_SOURCES, EVENT_STATUSES, isTelling, type EventStatus, type UsageEvent } from '../event.ts';
import type { SessionsFold } from '../session-totals.ts';
import { contribution, type Dimensions, type Measured, type TotalsFold } from '../totals.ts';
import type { EventsTable, UsageDb } from './schema.ts';

/** Is where a batch is counted, and under what its events were: names beyond those of a day are counted together. */
interface Folds {
  readonly totals: TotalsFold;
  readonly sessions: SessionsFold;
  readonly counted: (at: number, ids: Dimensions) => Promise<Dimensions>;
}

/** Says what an event turned out to be whose generation, or whose very self, is in the database already. */
export type Merge = 'known' | 'another-call';

/**
 * Fills the event that is there in from another telling of its generation.
 *
 * Two calls of one generation id are two calls all the same, and nothing is done here: some providers repeat their ids
 * (Ollama numbers its answers from 0 to 999), and no call may vanish for that. What is told of the id is the last one's.
 */
export async function fillIn(
  db: UsageDb,
  event: UsageEvent,
  provider: number,
  { totals, sessions, counted }: Folds,
): Promise<Merge> {
  if (event.generationId === null) return 'known';
  const row = await db
    .selectFrom('events')
    .innerJoin('names', 'names.id', 'events.operation')
    .selectAll('events')
    .select('names.text as operation_name')
    .where('generation', '=', event.generationId)
    .where('provider', '=', provider)
    .executeTakeFirst();
  // The event itself, told twice.
  if (!row || (row.at === event.at && row.id === event.id)) return 'known';
  if (!isTelling(event.operation) && !isTelling(row.operation_name)) return 'another-call';

  const filled = {
    prompt_tokens: row.prompt_tokens ?? event.promptTokens,
    completion_tokens: row.completion_tokens ?? event.completionTokens,
    cached_tokens: row.cached_tokens ?? event.cachedTokens,
    reasoning_tokens: row.reasoning_tokens ?? event.reasoningTokens,
    cost_micros: row.cost_micros ?? event.costMicros,
    cost_source:
      row.cost_micros === null && event.costSource !== null ? COST_SOURCES.indexOf(event.costSource) : row.cost_source,
    latency_ms: row.latency_ms ?? event.latencyMs,
    first_token_ms: row.first_token_ms ?? event.firstTokenMs,
  };
  const before = contribution(measured(row, row.operation_name));
  const after = contribution(measured({ ...row, ...filled }, row.operation_name));
  const added = after.map((sum, i) => sum - (before[i] ?? 0));
  if (added.every((sum) => sum === 0)) return 'known';

  await db.updateTable('events').set(filled).where('at', '=', row.at).where('id', '=', row.id).execute();
  const status = statusName(row.status);
  const { caller, model, key } = row;
  totals.add(row.at, status, await counted(row.at, { caller, model, provider: row.provider, key }), added);
  sessions.add({ at: row.at, status }, row.session, row.caller, added);
  sessions.add({ at: row.at, status }, row.run, 0, added);
  return 'known';
}

/** Gives the id of a generation to another call than the one that has it: one that is in the database, without an id. */
export async function passOn(db: UsageDb, call: UsageEvent, provider: number): Promise<void> {
  const { at, id, generationId: generation } = call;
  const events = db.updateTable('events');
  await events
    .set({ generation: null })
    .where('generation', '=', generation)
    .where('provider', '=', provider)
    .execute();
  await events.set({ generation }).where('at', '=', at).where('id', '=', id).execute();
}

/** Returns the name of a status's number; a number that is none counts as a failure. */
export function statusName(code: number): EventStatus {
  if (code === EVENT_STATUSES.success) return 'success';
  return code === EVENT_STATUSES.reach_limit ? 'reach_limit' : 'failed';
}

function measured(row: EventsTable, operation: string): Measured {
  return {
    operation,
    promptTokens: row.prompt_tokens,
    completionTokens: row.completion_tokens,
    cachedTokens: row.cached_tokens,
    reasoningTokens: row.reasoning_tokens,
    costMicros: row.cost_micros,
    latencyMs: row.latency_ms,
    firstTokenMs: row.first_token_ms,
  };
}
