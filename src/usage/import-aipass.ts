/**
 * Reads AIPass's `usage_tracker_data.json`. Pure. Its generations become events. Its totals per
 * caller and model reach further back than the 500 generations that it keeps. What they hold beyond
 * them is carried into the totals. Its current session, which was never reset and so is the
 * lifetime of the file, becomes a session.
 *
 * The daily totals are only compared, because they do not have who used what, and count a
 * generation again that was tracked again. The file may hold nothing but its template: AIPass
 * overwrote it with that itself.
 */

import { createHash } from 'node:crypto';
import { z } from 'zod';
import { AipassError } from '../base/errors.ts';
import { parseJson } from '../base/json.ts';
import type { AipassTotals, ImportReport } from '../protocol/usage.ts';
import { IMPORT_OPERATION, type UsageEvent } from './event.ts';
import { boundEvent } from './journal-line.ts';
import { microDollars } from './micro-dollars.ts';

/** Provider of everything that AIPass counted. */
export const AIPASS_PROVIDER = 'openrouter';

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
const callerSchema = z.object({
  requests: z.number(),
  total_cost: number,
  total_tokens: number,
  models_used: z.record(z.string(), z.number()).nullish().catch(null),
  last_request: z.string().nullish().catch(null),
});
const sessionSchema = z.object({
  start_time: z.string(),
  total_requests: z.number(),
  total_cost: number,
  total_tokens: number,
});
const fileSchema = z.object({
  module_name: z.unknown().optional(),
  data: z
    .object({
      generation_tracking: z.record(z.string(), z.unknown()).nullish().catch(null),
      daily_totals: z.record(z.string(), z.unknown()).nullish().catch(null),
      usage_by_caller: z.record(z.string(), z.unknown()).nullish().catch(null),
      current_session: z.unknown().optional(),
    })
    .nullish()
    .catch(null),
});

/** Everything that AIPass counted for one caller, its generations included. */
export interface AipassCaller extends AipassTotals {
  readonly caller: string;
  /** Numbers of requests by model. */
  readonly models: Readonly<Record<string, number>>;
  /**
   * Time of the oldest generation that the file still has, or of the last request: what is carried
   * was before.
   */
  readonly at: number;
}

/** The current session of a file, from its start to the last thing in the file. */
export interface AipassSession extends AipassTotals {
  readonly startAt: number;
  readonly lastAt: number;
}

/**
 * A file as read: its fingerprint, the events and totals in it, and the first half of the report.
 */
export interface AipassUsage {
  readonly fingerprint: string;
  readonly events: readonly UsageEvent[];
  readonly callers: readonly AipassCaller[];
  readonly session: AipassSession | null;
  readonly report: ImportReport;
}

/**
 * Reads the file's text.
 *
 * @throws AipassError BAD_REQUEST when it is not JSON, not an object, or has nothing that AIPass
 * writes.
 */
export function readAipassUsage(text: string): AipassUsage {
  const parsed = fileSchema.safeParse(parseJson(text));
  if (!parsed.success) {
    throw new AipassError('BAD_REQUEST', 'not an AIPass usage file: it is not JSON, or not an object', {
      hint: 'pass the path of usage_tracker_data.json',
    });
  }
  const { module_name: module, data } = parsed.data;
  if (module === undefined && !data?.generation_tracking && !data?.daily_totals && !data?.usage_by_caller) {
    throw new AipassError('BAD_REQUEST', 'not an AIPass usage file: it has nothing that AIPass writes', {
      hint: 'pass the path of usage_tracker_data.json',
    });
  }
  const generations = Object.entries(data?.generation_tracking ?? {});
  const events = generations.flatMap(([id, value], index) => readGeneration(id, value, index));
  const callers = Object.entries(data?.usage_by_caller ?? {}).flatMap(([name, value]) =>
    readCaller(name, value, events),
  );
  const accounted = callers.reduce(
    (sum, totals) => plus(sum, beyond(totals, totalsOf(events.filter(({ caller }) => caller === totals.caller)))),
    totalsOf(events),
  );
  return {
    fingerprint: createHash('sha256').update(text).digest('hex'),
    events,
    callers,
    session: readSession(data?.current_session, events),
    report: {
      repeated: false,
      generations: generations.length,
      added: 0,
      known: 0,
      unreadable: generations.length - events.length,
      carried: { callers: 0, requests: 0, costMicros: 0, tokens: 0 },
      unaccounted: beyond(sumDaily(data?.daily_totals ?? {}), accounted),
    },
  };
}

function readGeneration(generationId: string, value: unknown, index: number): UsageEvent[] {
  const parsed = generationSchema.safeParse(value);
  if (!parsed.success) return [];
  const { timestamp, caller, model, usage_data: usage } = parsed.data;
  // Written without a zone, in the local time of the machine that the file comes from; Date reads
  // it the same way.
  const at = Date.parse(timestamp);
  if (Number.isNaN(at) || at < 0) return [];
  const event = boundEvent(
    {
      at,
      caller: caller ?? undefined,
      provider: AIPASS_PROVIDER,
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

/** Totals that are all zero. */
export const NO_TOTALS: AipassTotals = { requests: 0, costMicros: 0, tokens: 0 };

/** Returns the sums of events. */
export function totalsOf(events: readonly UsageEvent[]): AipassTotals {
  let [costMicros, tokens] = [0, 0];
  for (const event of events) {
    costMicros += event.costMicros ?? 0;
    tokens += (event.promptTokens ?? 0) + (event.completionTokens ?? 0);
  }
  return { requests: events.length, costMicros, tokens };
}

/** Returns what the first holds beyond the second, never less than nothing. */
export function beyond(totals: AipassTotals, counted: AipassTotals): AipassTotals {
  return {
    requests: Math.max(0, totals.requests - counted.requests),
    costMicros: Math.max(0, totals.costMicros - counted.costMicros),
    tokens: Math.max(0, totals.tokens - counted.tokens),
  };
}

/** Returns the sums of two. */
export function plus(one: AipassTotals, other: AipassTotals): AipassTotals {
  return {
    requests: one.requests + other.requests,
    costMicros: one.costMicros + other.costMicros,
    tokens: one.tokens + other.tokens,
  };
}

function readCaller(name: string, value: unknown, events: readonly UsageEvent[]): AipassCaller[] {
  const parsed = callerSchema.safeParse(value);
  if (!parsed.success) return [];
  const { requests, total_cost: cost, total_tokens: tokens, models_used: models, last_request: last } = parsed.data;
  // Names are kept as those of events are.
  const { caller } = boundEvent(
    { caller: name, operation: IMPORT_OPERATION, status: 'success' },
    { now: 0, id: 0, run: IMPORT_OPERATION },
  );
  const times = events.filter((event) => event.caller === caller).map(({ at }) => at);
  const at = Math.min(...times, Date.parse(last ?? '') || Infinity);
  if (!Number.isSafeInteger(at) || !isCount(requests)) return [];
  const counted = Object.entries(models ?? {}).filter(([, count]) => isCount(count));
  return [
    {
      caller,
      requests,
      costMicros: microDollars(cost) ?? 0,
      tokens: tokens ?? 0,
      models: Object.fromEntries(counted),
      at,
    },
  ];
}

function readSession(value: unknown, events: readonly UsageEvent[]): AipassSession | null {
  const parsed = sessionSchema.safeParse(value);
  if (!parsed.success) return null;
  const { start_time: start, total_requests: requests, total_cost: cost, total_tokens: tokens } = parsed.data;
  const startAt = Date.parse(start);
  if (Number.isNaN(startAt) || startAt < 0 || !isCount(requests) || requests === 0) return null;
  const lastAt = events.reduce((latest, { at }) => Math.max(latest, at), startAt);
  return { startAt, lastAt, requests, costMicros: microDollars(cost) ?? 0, tokens: tokens ?? 0 };
}

function sumDaily(daily: Readonly<Record<string, unknown>>): AipassTotals {
  let sum = NO_TOTALS;
  for (const value of Object.values(daily)) {
    const total = totalSchema.safeParse(value);
    if (!total.success) continue;
    const { requests, cost, tokens } = total.data;
    sum = plus(sum, { requests: requests ?? 0, costMicros: microDollars(cost) ?? 0, tokens: tokens ?? 0 });
  }
  return sum;
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
