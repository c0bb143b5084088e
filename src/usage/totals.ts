/**
 * Folds events into totals: the sums that every long answer is made of, and that survive the pruning of events. Pure.
 *
 * Each event adds to one row per grain and view. A view is a kind (all, by caller, by model, by provider, by key), for
 * any caller or for one; the status is in each row. So any answer, filtered by caller and status or not, is the sum of
 * one run of neighbouring rows.
 */

import { EVENT_STATUSES, isCall, type UsageEvent } from './event.ts';
import { ALL_GRAINS, bucketOf, GRAINS, MINUTE, type Grain } from './grains.ts';
import { LATENCY_BUCKETS, latencyBucket } from './latency-histogram.ts';

/** Maps what totals are kept by to its number in the totals table. */
export const TOTAL_KINDS = { all: 0, caller: 1, model: 2, provider: 3, key: 4 } as const;

/** Lists the columns that are summed, in the order in which the sums are kept. */
export const SUM_COLUMNS = [
  'requests',
  'releases',
  'prompt_tokens',
  'completion_tokens',
  'cached_tokens',
  'reasoning_tokens',
  'tokens_known',
  'cost_micros',
  'cost_known',
  'latency_ms',
  'latency_known',
  'first_token_ms',
  'first_token_known',
  ...Array.from({ length: LATENCY_BUCKETS }, (_, bucket): `l${number}` => `l${bucket}`),
] as const;
export type SumColumn = (typeof SUM_COLUMNS)[number];

/** Holds one number for each of SUM_COLUMNS. */
export type Sums = number[];

const FIRST_LATENCY = SUM_COLUMNS.length - LATENCY_BUCKETS;

/** Returns sums that are all zero. */
export function noSums(): Sums {
  return SUM_COLUMNS.map(() => 0);
}

/** Adds the second to the first. */
export function addSums(into: Sums, more: readonly number[]): void {
  for (let i = 0; i < into.length; i++) into[i] = (into[i] ?? 0) + (more[i] ?? 0);
}

/** Returns one sum by its name. */
export function sumOf(sums: readonly number[], column: SumColumn): number {
  return sums[SUM_COLUMNS.indexOf(column)] ?? 0;
}

/** Returns the counts of the latency buckets. */
export function latencyCounts(sums: readonly number[]): readonly number[] {
  return sums.slice(FIRST_LATENCY);
}

/** Is what of an event counts. */
export type Measured = Pick<
  UsageEvent,
  | 'operation'
  | 'promptTokens'
  | 'completionTokens'
  | 'cachedTokens'
  | 'reasoningTokens'
  | 'costMicros'
  | 'latencyMs'
  | 'firstTokenMs'
>;

/** Returns what one event adds to each sum. A release of a credential is counted as one, and as nothing else. */
export function contribution(event: Measured): Sums {
  const sums = noSums();
  if (!isCall(event)) {
    sums[1] = 1;
    return sums;
  }
  sums[0] = 1;
  sums[2] = event.promptTokens ?? 0;
  sums[3] = event.completionTokens ?? 0;
  sums[4] = event.cachedTokens ?? 0;
  sums[5] = event.reasoningTokens ?? 0;
  sums[6] = event.promptTokens === null && event.completionTokens === null ? 0 : 1;
  sums[7] = event.costMicros ?? 0;
  sums[8] = event.costMicros === null ? 0 : 1;
  sums[9] = event.latencyMs ?? 0;
  sums[10] = event.latencyMs === null ? 0 : 1;
  sums[11] = event.firstTokenMs ?? 0;
  sums[12] = event.firstTokenMs === null ? 0 : 1;
  if (event.latencyMs !== null) sums[FIRST_LATENCY + latencyBucket(event.latencyMs)] = 1;
  return sums;
}

/** Is one row of totals before it is added to what the table holds. Caller and value are ids of names; 0 is "any" and "none". */
export interface TotalRow {
  readonly grain: Grain;
  readonly kind: number;
  readonly caller: number;
  readonly bucket: number;
  readonly value: number;
  readonly status: number;
  readonly sums: readonly number[];
}

/** Names, by their ids, what an event is counted under. */
export interface Dimensions {
  readonly caller: number;
  readonly model: number;
  readonly provider: number;
  readonly key: number;
}

/** Collects what a batch of events adds, one row for each place it adds to. */
export class TotalsFold {
  readonly #minutes = new RowFold();

  add(at: number, status: keyof typeof EVENT_STATUSES, ids: Dimensions, sums: readonly number[]): void {
    const { caller } = ids;
    const place = { grain: MINUTE, bucket: bucketOf(at, MINUTE), status: EVENT_STATUSES[status] };
    this.#minutes.add({ ...place, kind: TOTAL_KINDS.caller, caller: 0, value: caller, sums });
    for (const who of [0, caller]) {
      this.#minutes.add({ ...place, kind: TOTAL_KINDS.all, caller: who, value: 0, sums });
      this.#minutes.add({ ...place, kind: TOTAL_KINDS.model, caller: who, value: ids.model, sums });
      this.#minutes.add({ ...place, kind: TOTAL_KINDS.provider, caller: who, value: ids.provider, sums });
      this.#minutes.add({ ...place, kind: TOTAL_KINDS.key, caller: who, value: ids.key, sums });
    }
  }

  /** Returns the rows in the order of the table's key: daemons that share a database then never wait for each other in a circle. */
  rows(): readonly TotalRow[] {
    // Each grain from the one below it: there are far fewer rows than events.
    const folds = [this.#minutes];
    for (const grain of ALL_GRAINS.slice(1)) {
      const fold = new RowFold();
      const step = GRAINS[grain].ms / (GRAINS[grain - 1]?.ms ?? 1);
      for (const row of folds.at(-1)?.rows() ?? []) fold.add({ ...row, grain, bucket: Math.floor(row.bucket / step) });
      folds.push(fold);
    }
    return folds
      .flatMap((fold) => [...fold.rows()])
      .sort(
        (a, b) =>
          a.grain - b.grain ||
          a.kind - b.kind ||
          a.caller - b.caller ||
          a.bucket - b.bucket ||
          a.value - b.value ||
          a.status - b.status,
      );
  }
}

/** Adds up rows of the same place within one grain. */
class RowFold {
  readonly #rows = new Map<string, TotalRow & { readonly sums: Sums }>();

  add(row: TotalRow): void {
    const key = `${row.kind},${row.caller},${row.bucket},${row.value},${row.status}`;
    const known = this.#rows.get(key);
    if (known) addSums(known.sums, row.sums);
    else this.#rows.set(key, { ...row, sums: [...row.sums] });
  }

  rows(): Iterable<TotalRow> {
    return this.#rows.values();
  }
}
