/**
 * The columns that are summed: how an event adds to them, and what they mean to people. Pure.
 *
 * Latencies are counts in fixed buckets, so that percentiles of ten million calls are sums of a few
 * rows. Bucket 0 holds what took under 16 ms; each further bucket is wider by the factor 1.6; the
 * last holds what took over eight minutes. A percentile is reported as the middle of its bucket,
 * and so is off by 27 % at most from 16 ms to eight minutes.
 */

import { TOKEN_COLUMNS, type FieldOfKind, type UsageFigures, type UsageStatus } from '../../protocol/usage.ts';
import { isCall, type UsageEvent } from '../event.ts';

/** Maps each status to its number, which is apipool's. */
export const STATUS_CODES = { success: 1, failed: 5, reach_limit: 9 } as const satisfies Record<UsageStatus, number>;

/** Returns the name of a status's number; an unknown number counts as a failure. */
export function statusName(code: number): UsageStatus {
  if (code === STATUS_CODES.success) return 'success';
  return code === STATUS_CODES.reach_limit ? 'reach_limit' : 'failed';
}

/** Number of latency buckets. */
export const LATENCY_BUCKETS = 24;

const FIRST_BOUND_MS = 16;
const GROWTH = 1.6;
const LOG_GROWTH = Math.log(GROWTH);

const COUNTED = [
  'requests',
  'attempts',
  'releases',
  ...TOKEN_COLUMNS.map(({ column }) => column),
  'tokens_known',
  'cost_micros',
  'cost_known',
  'latency_ms',
  'latency_known',
  'first_token_ms',
  'first_token_known',
] as const;

/** The columns that are summed, in the order in which sums are kept. */
export const SUM_COLUMNS = [
  ...COUNTED,
  ...Array.from({ length: LATENCY_BUCKETS }, (_, bucket): `l${number}` => `l${bucket}`),
] as const;
export type SumColumn = (typeof SUM_COLUMNS)[number];

/** One number for each of SUM_COLUMNS. */
export type Sums = number[];

/** Index of each counted column in the sums. */
export const INDEX = Object.fromEntries(COUNTED.map((column, index) => [column, index])) as Readonly<
  Record<(typeof COUNTED)[number], number>
>;
const FIRST_LATENCY = COUNTED.length;

const ZEROS: readonly number[] = SUM_COLUMNS.map(() => 0);

/** Returns sums that are all zero. */
export function noSums(): Sums {
  return [...ZEROS];
}

/** Adds the second to the first. */
export function addSums(into: Sums, more: readonly number[]): void {
  for (let i = 0; i < into.length; i++) into[i] = (into[i] ?? 0) + (more[i] ?? 0);
}

/** Adds an amount to the sum at an index. */
export function addTo(sums: Sums, index: number, amount: number): void {
  sums[index] = (sums[index] ?? 0) + amount;
}

/** The fields of an event that are counted. */
export type Measured = Pick<UsageEvent, 'operation' | 'retried' | FieldOfKind<'tokens' | 'money' | 'duration'>>;

/**
 * Returns the sums of one event. The release of a credential is counted as one, and as nothing
 * else.
 */
export function contribution(event: Measured): Sums {
  const sums = noSums();
  if (!isCall(event)) {
    addTo(sums, INDEX.releases, 1);
    return sums;
  }
  const { promptTokens, completionTokens, costMicros, latencyMs, firstTokenMs } = event;
  if (!event.retried) addTo(sums, INDEX.requests, 1);
  addTo(sums, INDEX.attempts, 1);
  if (promptTokens !== null || completionTokens !== null) addTo(sums, INDEX.tokens_known, 1);
  for (const { field, column } of TOKEN_COLUMNS) {
    const tokens = event[field];
    if (tokens !== null) addTo(sums, INDEX[column], tokens);
  }
  if (costMicros !== null) {
    addTo(sums, INDEX.cost_known, 1);
    addTo(sums, INDEX.cost_micros, costMicros);
  }
  if (latencyMs !== null) {
    addTo(sums, INDEX.latency_known, 1);
    addTo(sums, INDEX.latency_ms, latencyMs);
    addTo(sums, FIRST_LATENCY + latencyBucket(latencyMs), 1);
  }
  if (firstTokenMs !== null) {
    addTo(sums, INDEX.first_token_known, 1);
    addTo(sums, INDEX.first_token_ms, firstTokenMs);
  }
  return sums;
}

/** Returns the sums of a row of the database, in their order. */
export function sumsOf(row: Readonly<Record<string, unknown>>): Sums {
  return SUM_COLUMNS.map((column) => Number(row[column] ?? 0));
}

/** The sums of one group, status by status, and the figures that people see. */
export class FigureSums {
  readonly #all: Sums = noSums();
  #succeeded = 0;
  #limitReached = 0;

  add(status: number, sums: readonly number[]): void {
    addSums(this.#all, sums);
    const requests = sums[INDEX.requests] ?? 0;
    if (status === STATUS_CODES.success) this.#succeeded += requests;
    if (status === STATUS_CODES.reach_limit) this.#limitReached += requests;
  }

  figures(): UsageFigures {
    const sum = (column: (typeof COUNTED)[number]): number => this.#all[INDEX[column]] ?? 0;
    const mean = (column: 'latency_ms' | 'first_token_ms', known: 'latency_known' | 'first_token_known') =>
      sum(known) === 0 ? null : Math.round(sum(column) / sum(known));
    const tokens = Object.fromEntries(TOKEN_COLUMNS.map(({ figure, column }) => [figure, sum(column)])) as Omit<
      UsageFigures['tokens'],
      'knownFor'
    >;
    const requests = sum('requests');
    const failed = requests - this.#succeeded - this.#limitReached;
    const latency = mean('latency_ms', 'latency_known');
    const counts = this.#all.slice(FIRST_LATENCY);
    const percentile = (share: number): number => latencyPercentile(counts, share) ?? 0;
    return {
      requests,
      succeeded: this.#succeeded,
      failed,
      limitReached: this.#limitReached,
      attempts: sum('attempts'),
      errorRate: requests === 0 ? null : (requests - this.#succeeded) / requests,
      releases: sum('releases'),
      tokens: { ...tokens, knownFor: sum('tokens_known') },
      costMicros: sum('cost_micros'),
      costKnownFor: sum('cost_known'),
      latencyMs:
        latency === null ? null : { mean: latency, p50: percentile(0.5), p90: percentile(0.9), p99: percentile(0.99) },
      firstTokenMs: mean('first_token_ms', 'first_token_known'),
    };
  }
}

/** Returns the bucket of a latency in milliseconds. */
export function latencyBucket(latencyMs: number): number {
  if (latencyMs < FIRST_BOUND_MS) return 0;
  const bucket = 1 + Math.floor(Math.log(latencyMs / FIRST_BOUND_MS) / LOG_GROWTH);
  return Math.min(bucket, LATENCY_BUCKETS - 1);
}

/**
 * Returns the latency in milliseconds that a share (0 to 1) of the calls stayed within, or null
 * where none was measured.
 */
export function latencyPercentile(counts: readonly number[], share: number): number | null {
  const total = counts.reduce((sum, n) => sum + n, 0);
  if (total === 0) return null;
  let rank = share * total;
  for (const [bucket, n] of counts.entries()) {
    if (rank <= n && n > 0) return Math.round(middle(bucket));
    rank -= n;
  }
  return Math.round(middle(LATENCY_BUCKETS - 1));
}

/**
 * Returns the geometric middle of a bucket; of the last one, which has no upper end, the lower
 * bound.
 */
function middle(bucket: number): number {
  if (bucket === 0) return FIRST_BOUND_MS / 2;
  const lowerBound = FIRST_BOUND_MS * GROWTH ** (bucket - 1);
  return bucket === LATENCY_BUCKETS - 1 ? lowerBound : lowerBound * Math.sqrt(GROWTH);
}
