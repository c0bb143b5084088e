/**
 * Reads AIPass's `usage_tracker_data.json`. Pure. Its generations become events; its own totals are only compared,
 * because they do not say who used what, and count a generation again that was tracked again.
 *
 * The file may hold nothing but its template: AIPass overwrote it with that itself.
 */

import { createHash } from 'node:crypto';
import { z } from 'zod';
import { AipassError } from '../base/errors.ts';
import type { ImportReport } from '../protocol/usage.ts';
import { IMPORT_OPERATION, normaliseEvent, type UsageEvent } from './event.ts';
import { microDollars } from './micro-dollars.ts';

const number = z.number().nullish().catch(null);
const generationSchema = z.object({
  timestamp: z.string(),
  caller: z.string().nullish().catch(null),
  model: z.string().nullish().catch(null),
  usage_data: z.object({
    total_cost: number,
    tokens_prompt: number,
    tokens_completion: number,
    generation_time: number,
    latency: number,
  }),
});
const totalSchema = z.object({ requests: number, cost: number, tokens: number });
const fileSchema = z.object({
  module_name: z.unknown().optional(),
  data: z
    .object({
      generation_tracking: z.record(z.string(), z.unknown()).nullish().catch(null),
      daily_totals: z.record(z.string(), z.unknown()).nullish().catch(null),
    })
    .nullish()
    .catch(null),
});

/** Is a file as read: the events in it, which file it is, and the first half of the report. */
export interface AipassUsage {
  readonly fingerprint: string;
  readonly events: readonly UsageEvent[];
  readonly report: ImportReport;
}

/**
 * Reads the file's text.
 *
 * @throws AipassError BAD_REQUEST when it is not JSON, no object, or nothing of AIPass's.
 */
export function readAipassUsage(text: string): AipassUsage {
  const parsed = fileSchema.safeParse(parseJson(text));
  if (!parsed.success) {
    throw new AipassError('BAD_REQUEST', 'this is no AIPass usage file: it is not JSON, or no object', {
      hint: 'pass the path of usage_tracker_data.json',
    });
  }
  const { module_name: module, data } = parsed.data;
  if (module === undefined && !data?.generation_tracking && !data?.daily_totals) {
    throw new AipassError('BAD_REQUEST', 'this is no AIPass usage file: nothing that AIPass writes is in it', {
      hint: 'pass the path of usage_tracker_data.json',
    });
  }
  const generations = Object.entries(data?.generation_tracking ?? {});
  const events = generations.flatMap(([id, value], index) => readGeneration(id, value, index));
  return {
    fingerprint: createHash('sha256').update(text).digest('hex'),
    events,
    report: {
      repeated: false,
      generations: generations.length,
      added: 0,
      known: 0,
      unreadable: generations.length - events.length,
      unaccounted: unaccounted(data?.daily_totals ?? {}, events),
    },
  };
}

function readGeneration(generationId: string, value: unknown, index: number): UsageEvent[] {
  const parsed = generationSchema.safeParse(value);
  if (!parsed.success) return [];
  const { timestamp, caller, model, usage_data: usage } = parsed.data;
  // Written without a zone, in the local time of the machine that the file comes from; Date reads it the same way.
  const at = Date.parse(timestamp);
  if (Number.isNaN(at) || at < 0) return [];
  const event = normaliseEvent(
    {
      at,
      caller: caller ?? undefined,
      provider: 'openrouter',
      operation: IMPORT_OPERATION,
      model: model === 'unknown' ? null : model,
      status: 'success',
      promptTokens: usage.tokens_prompt,
      completionTokens: usage.tokens_completion,
      costMicros: microDollars(usage.total_cost),
      costSource: 'import',
      latencyMs: usage.generation_time,
      firstTokenMs: usage.latency,
      generationId,
    },
    { now: at, id: eventId(generationId, index), run: IMPORT_OPERATION },
  );
  return [event];
}

/** Derives an event's id from its generation, so that the same file gives the same events. */
function eventId(generationId: string, index: number): number {
  return createHash('sha256').update(`${index} ${generationId}`).digest().readUIntBE(0, 6);
}

/** Returns what the file's daily totals hold beyond its generations; AIPass keeps only the newest 500 of those. */
function unaccounted(
  daily: Readonly<Record<string, unknown>>,
  events: readonly UsageEvent[],
): ImportReport['unaccounted'] {
  let [requests, costMicros, tokens] = [-events.length, 0, 0];
  for (const event of events) {
    costMicros -= event.costMicros ?? 0;
    tokens -= (event.promptTokens ?? 0) + (event.completionTokens ?? 0);
  }
  for (const value of Object.values(daily)) {
    const total = totalSchema.safeParse(value);
    if (!total.success) continue;
    requests += total.data.requests ?? 0;
    costMicros += microDollars(total.data.cost) ?? 0;
    tokens += total.data.tokens ?? 0;
  }
  return { requests: Math.max(0, requests), costMicros: Math.max(0, costMicros), tokens: Math.max(0, tokens) };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
