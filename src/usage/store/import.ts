/**
 * Imports AIPass's usage: its generations as events, and what it counted beyond them as sums.
 *
 * A note holds what was imported of each caller. So a file that has grown since, or has dropped its
 * oldest generations, adds only what is new in it. Its generations from before the last pruning may
 * have been imported and deleted: they are not written again where their caller has a note. Any of
 * them that are new are in the caller's totals, and so among the sums.
 */

import { z } from 'zod';
import type { AipassTotals, ImportReport } from '../../protocol/usage.ts';
import type { UsageEvent } from '../event.ts';
import {
  AIPASS_PROVIDER,
  beyond,
  NO_TOTALS,
  plus,
  totalsOf,
  type AipassCaller,
  type AipassSession,
  type AipassUsage,
} from '../import-aipass.ts';
import type { StoreConnection } from './database.ts';
import type { CarriedSums, Ingest } from './ingest.ts';
import { readHorizons, readNote, writeNote } from './notes.ts';
import { addTo, INDEX, noSums } from './sums.ts';

/** Number of imported events that are written at once. */
const SLICE = 500;

/** Caller of AIPass's session, which the file does not name. */
const SESSION_CALLER = 'aipass';

const takenSchema = z.object({
  requests: z.number(),
  costMicros: z.number(),
  tokens: z.number(),
  models: z.record(z.string(), z.number()),
});

/** The totals of one caller that imports have taken so far, as events or as sums. */
type Taken = z.infer<typeof takenSchema>;

const NOTHING: Taken = { ...NO_TOTALS, models: {} };

/** Imports one file, unless this very file was imported before. */
export async function importAipass(
  connection: StoreConnection,
  ingest: Ingest,
  { fingerprint, events, callers, session, report }: AipassUsage,
): Promise<ImportReport> {
  const note = `import ${fingerprint}`;
  if ((await readNote(connection, note)) !== null) return { ...report, repeated: true, added: 0 };
  const takenOf = new Map<string, Taken | null>();
  for (const { caller } of [...callers, ...events]) {
    if (!takenOf.has(caller)) takenOf.set(caller, await readTaken(connection, callerNote(caller)));
  }
  // A cutoff in the future counts too: what is noted of a caller outlives every pruning.
  const { eventsSince } = await readHorizons(connection, Infinity);
  const known = new Set(events.filter(({ at, caller }) => at < eventsSince && takenOf.get(caller)));
  const unknown = events.filter((event) => !known.has(event));
  for (let start = 0; start < unknown.length; start += SLICE) {
    for (const event of await ingest.writeImported(unknown.slice(start, start + SLICE))) known.add(event);
  }

  const carried: { -readonly [Part in keyof CarriedSums]: CarriedSums[Part][number][] } = { totals: [], sessions: [] };
  const notes: [name: string, value: string][] = [];
  let sum = NO_TOTALS;
  let carriedCallers = 0;
  for (const totals of callers) {
    const before = takenOf.get(totals.caller) ?? null;
    // Where nothing was noted, an interrupted import may have brought the events that are known.
    const counted = events.filter((event) => event.caller === totals.caller && (!before || !known.has(event)));
    const { rest, taken } = beyondTaken(totals, before ?? NOTHING, counted);
    carried.totals.push(...carriedTotals(totals, rest));
    notes.push([callerNote(totals.caller), JSON.stringify(taken)]);
    sum = plus(sum, rest);
    if (rest.requests + rest.costMicros + rest.tokens > 0) carriedCallers += 1;
  }
  if (session) {
    const name = `aipass-${new Date(session.startAt).toISOString()}`;
    const before = (await readTaken(connection, name)) ?? NOTHING;
    carried.sessions.push(carriedSession(name, session, beyond(session, before)));
    notes.push([name, JSON.stringify({ ...NOTHING, ...plus(before, beyond(session, before)) })]);
  }
  // With the notes in one transaction: an interrupted import is done again, and its generations are
  // known then.
  await ingest.carry(carried, async (executor) => {
    for (const [name, value] of notes) await writeNote(executor, name, value);
    await writeNote(executor, note, String(events.length - known.size));
  });
  return {
    ...report,
    added: events.length - known.size,
    known: known.size,
    carried: { ...sum, callers: carriedCallers },
  };
}

/** Returns the name of the note on what was imported of a caller. */
function callerNote(caller: string): string {
  return `aipass caller ${caller}`;
}

async function readTaken(connection: StoreConnection, name: string): Promise<Taken | null> {
  const text = await readNote(connection, name);
  return text === null ? null : takenSchema.parse(JSON.parse(text));
}

/**
 * Returns what a caller's totals hold beyond what was taken before and the events that count now,
 * and what is taken then.
 */
function beyondTaken(
  totals: AipassCaller,
  before: Taken,
  events: readonly UsageEvent[],
): { rest: Taken; taken: Taken } {
  const counted = plus(before, totalsOf(events));
  const rest = beyond(totals, counted);
  const models = { ...before.models };
  for (const { model } of events) if (model !== null) models[model] = (models[model] ?? 0) + 1;
  const restModels: Record<string, number> = {};
  for (const [model, count] of Object.entries(totals.models)) {
    const more = count - (models[model] ?? 0);
    if (more <= 0) continue;
    restModels[model] = more;
    models[model] = count;
  }
  return { rest: { ...rest, models: restModels }, taken: { ...plus(counted, rest), models } };
}

/**
 * Returns a caller's sums. AIPass counted requests by model, but cost and tokens of all models
 * together.
 */
function carriedTotals({ caller, at }: AipassCaller, rest: Taken): CarriedSums['totals'][number][] {
  const row = { at, caller, provider: AIPASS_PROVIDER };
  const models = Object.entries(rest.models);
  const [only] = models;
  if (models.length === 1 && only?.[1] === rest.requests) {
    return [{ ...row, model: only[0], sums: sumsOfTotals(rest, rest.requests) }];
  }
  const named = models.reduce((sum, [, count]) => sum + count, 0);
  const others = { ...rest, requests: Math.max(0, rest.requests - named) };
  const rows = models.map(([model, count]) => ({
    ...row,
    model,
    sums: sumsOfTotals({ requests: count, costMicros: 0, tokens: 0 }, 0),
  }));
  if (others.requests + others.costMicros + others.tokens === 0) return rows;
  return [...rows, { ...row, model: null, sums: sumsOfTotals(others, rest.requests) }];
}

function carriedSession(name: string, { startAt, lastAt }: AipassSession, rest: AipassTotals) {
  return { name, caller: SESSION_CALLER, firstAt: startAt, lastAt, sums: sumsOfTotals(rest, rest.requests) };
}

/** Returns totals as sums. Tokens count as prompt tokens, because AIPass added both kinds up. */
function sumsOfTotals({ requests, costMicros, tokens }: AipassTotals, knownFor: number): number[] {
  const sums = noSums();
  addTo(sums, INDEX.requests, requests);
  addTo(sums, INDEX.attempts, requests);
  addTo(sums, INDEX.cost_micros, costMicros);
  addTo(sums, INDEX.cost_known, knownFor);
  addTo(sums, INDEX.prompt_tokens, tokens);
  addTo(sums, INDEX.tokens_known, knownFor);
  return sums;
}
