/**
 * Measures usage: recording, answering and pruning at 10,000 and 1,000,000 events in SQLite, and at
 * 10,000 in PostgreSQL beside it. With --2m or --10m it measures so many events in SQLite alone.
 * Events are made on the fly: 34 days, 20 callers, 12 models, 3 providers, 6 keys.
 *
 * Each question is asked 20 times before it is measured 500 times, so that the figures are those of
 * a daemon that runs. What a caller waits for is `record`; answers are measured through the usage
 * thread, as the daemon asks. What an event costs is CPU time of the main thread and of the usage
 * thread at a steady 750 completions a second.
 */

import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../src/base/clock.ts';
import { USAGE_GROUPINGS, type UsageQuery } from '../src/protocol/usage.ts';
import type { RawEvent } from '../src/usage/event.ts';
import { JOURNAL_START } from '../src/usage/journal.ts';
import { boundEvent } from '../src/usage/journal-line.ts';
import { openConnection } from '../src/usage/store/open.ts';
import { UsageStore } from '../src/usage/store/usage-store.ts';
import { Usage } from '../src/usage/usage.ts';
import { startEmbeddedPostgres } from '../tests/support/embedded-postgres.ts';
import { recordingLogger } from '../tests/support/recording-logger.ts';
import { percentile } from './numbers.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const SPAN_MS = 34 * DAY;
const BATCH = 5000;
const WARM_UP = 20;
const ANSWERS = 500;
const STEADY_RATE = 750;
const STEADY_EVENTS = 6000;

/** What an event may cost the usage thread. */
const AIM_MICROS = 60;

/** Flags of this benchmark, and how many events each measures in SQLite instead of the usual. */
const SIZES: Readonly<Record<string, number>> = { '--2m': 2_000_000, '--10m': 10_000_000 };
export const USAGE_FLAGS: readonly string[] = Object.keys(SIZES);

/** Runs the whole benchmark. */
export async function benchUsage(): Promise<void> {
  const wanted = process.argv.flatMap((word) => SIZES[word] ?? []);
  for (const size of wanted.length > 0 ? wanted : [10_000, 1_000_000]) {
    await inFolder((folder) =>
      measure(`SQLite, ${size.toLocaleString('en')} events`, join(folder, 'usage.db'), folder, size, true),
    );
  }
  if (wanted.length > 0) return;
  const server = await startEmbeddedPostgres();
  try {
    const database = await server.createDatabase();
    await inFolder((folder) => measure('PostgreSQL, 10,000 events', database, folder, 10_000, false));
  } finally {
    await server.stop();
  }
}

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'aip-bench-'));
  try {
    await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measure(title: string, database: string, folder: string, size: number, isFile: boolean): Promise<void> {
  console.log(`\n${title}`);
  const now = Date.now();
  const filling = performance.now();
  await fill(database, size, now);
  const seconds = (performance.now() - filling) / 1000;
  console.log(`  written to the database: ${Math.round(size / seconds).toLocaleString('en')} events/s`);
  if (isFile) console.log(`  bytes per event: ${Math.round(statSync(database).size / size)}`);

  const usage = new Usage({
    database,
    journalFolder: join(folder, 'queue'),
    clock: systemClock,
    logger: recordingLogger(),
    redact: (text) => text,
    randomId,
  });
  usage.start();
  await usage.ask('bytes');
  await tidy(usage, now);
  if (isFile)
    console.log(`  bytes per event with old minutes and hours pruned: ${Math.round(statSync(database).size / size)}`);

  print(
    'record',
    sample(5000, () => usage.record(rawEvent(1, now))),
  );
  await usage.ask('bytes');
  for (const [name, since] of [
    ['hour', now - HOUR],
    ['30 days', now - 30 * DAY],
    ['all time', 0],
  ] as const) {
    const queries: UsageQuery[] = [{ since }, ...USAGE_GROUPINGS.map((by) => ({ since, by }))];
    queries.push({ since, by: 'model', caller: 'caller-3' }, { since, by: 'key', status: 'failed' });
    for (const query of queries) {
      const what = [query.by ?? 'sum', query.caller && 'one caller', query.status].filter(Boolean).join(', ');
      await measureAnswer(`answer, ${name}, ${what}`, () => usage.ask('answer', query, Date.now()));
    }
    const recent = { seconds: Math.ceil((now - since) / 1000) };
    await measureAnswer(`counts by key and status, ${name}`, () => usage.ask('recent', recent, ['KEY_0'], now));
    for (const filter of [
      {},
      { keyId: 'KEY_2' },
      { status: 'reach_limit' as const },
      { keyId: 'KEY_1', status: 'failed' as const },
    ]) {
      const query = { since, limit: 50, ...filter };
      const what = Object.keys(filter).join(' and ') || 'all';
      await measureAnswer(`page of 50 events, ${name}, ${what}`, () => usage.ask('events', query, 'desc'));
    }
  }
  const one = { caller: 'flow', session: 'session-1', executable: '/usr/bin/flow', pid: 1000, uid: 1000 };
  const only = { ...one, provider: 'provider-0', keyId: 'KEY_0', model: 'vendor/model-0' };
  await measureCost(usage, 'of one program', () => only);
  await measureCost(usage, 'of one program whose provider repeats 10 ids', (i) => ({
    ...only,
    generationId: `chatcmpl-${i % 10}`,
  }));
  await measureCost(usage, 'of 20 programs, 12 models and 6 keys at random', () => ({}));
  if (isFile) await measurePrune(usage, database, size);
  await usage.close();
}

/**
 * Records completions at a steady rate, each flushed as before its reply, and prints the CPU time
 * of both threads for one.
 */
async function measureCost(usage: Usage, what: string, fields: (i: number) => Partial<RawEvent>): Promise<void> {
  const [mainBefore, threadBefore] = [process.threadCpuUsage(), usageThreadMicros()];
  const started = performance.now();
  let count = 0;
  while (count < STEADY_EVENTS) {
    for (; count < STEADY_EVENTS && count < ((performance.now() - started) / 1000) * STEADY_RATE; count++) {
      usage.record({ ...rawEvent(count, Date.now()), ...fields(count) });
      usage.flush();
    }
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  }
  const main = process.threadCpuUsage(mainBefore);
  await usage.ask('bytes');
  const threadAfter = usageThreadMicros();
  const mainMicros = ((main.user + main.system) / count).toFixed(0);
  const threadMicros =
    threadBefore === null || threadAfter === null ? 'unknown' : ((threadAfter - threadBefore) / count).toFixed(0);
  console.log(
    `  CPU for one of ${STEADY_RATE} completions/s ${what}: main thread ${mainMicros} µs, usage thread ${threadMicros} µs (aim: ${AIM_MICROS} µs)`,
  );
}

/**
 * Returns the CPU time that the thread named "usage" has had, in microseconds; null where the
 * system does not list threads.
 */
function usageThreadMicros(): number | null {
  try {
    for (const id of readdirSync('/proc/self/task')) {
      if (readFileSync(`/proc/self/task/${id}/comm`, 'utf8').trim() !== 'usage') continue;
      const [nanoseconds] = readFileSync(`/proc/self/task/${id}/schedstat`, 'utf8').split(' ');
      return Number(nanoseconds) / 1000;
    }
  } catch {
    // Not Linux.
  }
  return null;
}

/** Prunes up to a million of the oldest events, and watches the main thread meanwhile. */
async function measurePrune(usage: Usage, database: string, size: number): Promise<void> {
  const count = Math.min(size, 1_000_000);
  const before = statSync(database).size;
  const days = ((size - count) / size) * (SPAN_MS / DAY);
  // What the machine itself does to an idle thread: on a busy one, most of what follows.
  const idle = watchStalls();
  await new Promise((resolve) => {
    setTimeout(resolve, 3000);
  });
  console.log(`  longest stall of the idle main thread ${idle().toFixed(1)} ms`);
  const stall = watchStalls();
  const started = performance.now();
  const report = await usage.prune(days, 400);
  const seconds = (performance.now() - started) / 1000;
  console.log(
    `  pruned ${report.events.toLocaleString('en')} events in ${seconds.toFixed(1)} s, longest stall of the main thread ` +
      `${stall().toFixed(1)} ms, file ${megabytes(before)} -> ${megabytes(statSync(database).size)}`,
  );
}

/**
 * Deletes what a daily prune would have deleted on the way: minutes and hours that are old, but no
 * events.
 */
async function tidy(usage: Usage, now: number): Promise<void> {
  await usage.ask('prune', { events: 0, totals: now - 400 * DAY, now });
}

async function fill(database: string, size: number, now: number): Promise<void> {
  const store = new UsageStore(await openConnection(database));
  for (let start = 0; start < size; start += BATCH) {
    const events = Array.from({ length: Math.min(BATCH, size - start) }, (_, i) => {
      const at = now - SPAN_MS + Math.floor(((start + i) / size) * SPAN_MS);
      return boundEvent(rawEvent(start + i, at), { now: at, id: randomId(), run: `run-${Math.floor(at / DAY)}` });
    });
    await store.write({ events, journal: null, end: JOURNAL_START });
  }
  await store.close();
}

function rawEvent(i: number, at: number): RawEvent {
  const pick = (count: number, salt: number): number =>
    Math.floor(((Math.sin(i * 12.9898 + salt) * 43_758.5453) % 1) * count + count) % count;
  const failed = i % 50 === 0;
  return {
    at,
    operation: 'completion.create',
    caller: `caller-${pick(20, 1)}`,
    uid: 1000,
    pid: 1000 + pick(300, 2),
    executable: `/usr/bin/program-${pick(20, 1)}`,
    session: `session-${Math.floor(i / 200)}-${pick(8, 3)}`,
    provider: `provider-${pick(3, 4)}`,
    keyId: `KEY_${pick(6, 5)}`,
    model: `vendor/model-${pick(12, 6)}`,
    status: failed ? (i % 500 === 0 ? 'reach_limit' : 'failed') : 'success',
    errorCode: failed ? 'PROVIDER_UNAVAILABLE' : null,
    httpStatus: failed ? 502 : 200,
    promptTokens: failed ? null : pick(4000, 7),
    completionTokens: failed ? null : pick(1000, 8),
    cachedTokens: failed ? null : 0,
    costMicros: failed ? null : pick(20_000, 9),
    latencyMs: 200 + pick(8000, 10),
    firstTokenMs: 100 + pick(500, 11),
    generationId: failed ? null : `gen-${Math.floor(at / 1000)}-${randomId().toString(36)}`,
  };
}

function randomId(): number {
  return Math.floor(Math.random() * 2 ** 48);
}

function sample(times: number, run: () => void): number[] {
  return Array.from({ length: times }, () => {
    const started = performance.now();
    run();
    return performance.now() - started;
  });
}

/**
 * Asks a question again and again. Prints how long its answer took, and how much of that the usage
 * thread worked. On a busy machine an answer mostly waits for a processor.
 */
async function measureAnswer(what: string, ask: () => Promise<unknown>): Promise<void> {
  const [taken, worked]: [number[], number[]] = [[], []];
  for (let i = -WARM_UP; i < ANSWERS; i++) {
    const [started, micros] = [performance.now(), usageThreadMicros()];
    await ask();
    if (i < 0) continue;
    taken.push(performance.now() - started);
    worked.push(((usageThreadMicros() ?? Number.NaN) - (micros ?? Number.NaN)) / 1000);
  }
  print(what, taken, worked);
}

/**
 * Watches the event loop of this thread; the returned function ends it and returns the longest
 * stall in milliseconds.
 */
function watchStalls(): () => number {
  let longest = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    longest = Math.max(longest, now - last - 1);
    last = now;
  }, 1);
  return () => {
    clearInterval(timer);
    return longest;
  };
}

function print(what: string, taken: readonly number[], worked?: readonly number[]): void {
  const work = worked ? `; usage thread ${percentiles(worked)}` : '';
  console.log(`  ${what.padEnd(52)} ${percentiles(taken)}${work}`);
}

function percentiles(times: readonly number[]): string {
  return `p50 ${percentile(times, 0.5).toFixed(3)} ms, p99 ${percentile(times, 0.99).toFixed(3)} ms`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}
