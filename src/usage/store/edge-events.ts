/**
 * Sums the events of a part of a minute, where a range begins or ends inside one.
 */

import { bucketOf, MINUTE } from '../grains.ts';
import { contribution, TOTAL_KINDS } from '../totals.ts';
import type { UsageDb } from './schema.ts';
import { sumTotals, type SumsRow, type TotalsView } from './sums-query.ts';

/** Bounds the events that are read for an edge: beyond it the whole minute is taken, which then is hardly less exact. */
const MAX_EVENTS = 4000;

/** Sums the events from `from` to before `to`, which lie in one minute; where events before `eventsSince` are pruned, the whole minute. */
export async function sumEdge(
  db: UsageDb,
  view: TotalsView,
  edge: { readonly from: number; readonly to: number },
  eventsSince: number,
): Promise<SumsRow[]> {
  const minute = bucketOf(edge.from, MINUTE);
  const wholeMinute = { grain: MINUTE, from: minute, to: minute + 1 } as const;
  if (edge.from < eventsSince) return sumTotals(db, view, wholeMinute);
  let query = db
    .selectFrom('events')
    .innerJoin('names', 'names.id', 'events.operation')
    .select(['names.text as operation', 'caller', 'model', 'provider', 'key', 'status'])
    .select(['prompt_tokens', 'completion_tokens', 'cached_tokens', 'reasoning_tokens', 'cost_micros'])
    .select(['latency_ms', 'first_token_ms'])
    .where('at', '>=', edge.from)
    .where('at', '<', edge.to)
    .limit(MAX_EVENTS + 1);
  if (view.caller !== 0) query = query.where('caller', '=', view.caller);
  if (view.status !== null) query = query.where('status', '=', view.status);
  const events = await query.execute();
  if (events.length > MAX_EVENTS) return sumTotals(db, view, wholeMinute);
  return events.map((event) => {
    const values = [0, event.caller, event.model, event.provider, event.key];
    const sums = contribution({
      operation: event.operation,
      promptTokens: event.prompt_tokens,
      completionTokens: event.completion_tokens,
      cachedTokens: event.cached_tokens,
      reasoningTokens: event.reasoning_tokens,
      costMicros: event.cost_micros,
      latencyMs: event.latency_ms,
      firstTokenMs: event.first_token_ms,
    });
    return { name: view.kind === TOTAL_KINDS.all ? 0 : (values[view.kind] ?? 0), status: event.status, sums };
  });
}
