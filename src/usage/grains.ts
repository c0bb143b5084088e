/**
 * The sizes of time that totals are kept in, and how a range is put together from them. Pure. All of it is UTC, so
 * that daemons in different places can share one history.
 *
 * A range takes the largest buckets that fit: "all time" reads blocks of 32 days, "the last hour" minutes. Where it
 * begins late in a larger bucket that takes fewer: all of that, and less the small ones before it. Small buckets are pruned earlier than large ones; a range that begins or ends inside a pruned one is widened to the next
 * larger, and the answer says so.
 */

/** Lists the grains from small to large with their length in milliseconds. The number in the list is what the totals table stores. */
export const GRAINS = [
  { name: 'minute', ms: 60_000 },
  { name: 'hour', ms: 3_600_000 },
  { name: 'day', ms: 86_400_000 },
  { name: 'block', ms: 32 * 86_400_000 },
] as const;

export const MINUTE = 0 as const;
export const HOUR = 1 as const;
export const DAY = 2 as const;
export const BLOCK = 3 as const;
export type Grain = 0 | 1 | 2 | 3;
export const ALL_GRAINS: readonly Grain[] = [MINUTE, HOUR, DAY, BLOCK];

/** Is how long minutes are kept at least: longer ago, a range begins and ends with a whole hour. */
export const MINUTES_KEPT_MS = 26 * 3_600_000;

/** Is how long hours and sessions are kept at least: longer ago, a range begins and ends with a whole day. */
export const HOURS_KEPT_MS = 32 * 86_400_000;

/** Is a run of buckets of one grain: from the first to before the last, as counts of the grain since 1970. */
export interface BucketRange {
  readonly grain: Grain;
  readonly from: number;
  readonly to: number;
}

/** Is a run of buckets in a plan: to be added (1), or taken away from what others hold too much (-1). */
export interface PlannedRange extends BucketRange {
  readonly sign: 1 | -1;
}

/** Is a range put together: the buckets to sum, the parts of minutes to read event by event, and what it covers in all. */
export interface RangePlan {
  readonly buckets: readonly PlannedRange[];
  readonly edges: readonly { readonly from: number; readonly to: number }[];
  readonly since: number;
  /** Is the end, or null for a range without one. */
  readonly until: number | null;
}

/** Says what is wanted and what is still there. `until` null means no end: even events that a clock set in the future. */
export interface RangeRequest {
  readonly since: number;
  readonly until: number | null;
  /** Is the time before which minutes, hours and days are pruned. */
  readonly minutesSince: number;
  readonly hoursSince: number;
  readonly daysSince: number;
}

/** Returns the bucket that a time falls into. */
export function bucketOf(at: number, grain: Grain): number {
  return Math.floor(at / GRAINS[grain].ms);
}

/** Returns when a bucket begins. */
export function bucketStart(bucket: number, grain: Grain): number {
  return bucket * GRAINS[grain].ms;
}

/** Puts a range together from the largest buckets that are there. */
export function planRange(request: RangeRequest): RangePlan {
  const finest = (at: number): number => {
    if (at >= request.minutesSince) return 1;
    return GRAINS[at >= request.hoursSince ? HOUR : DAY].ms;
  };
  const start = Math.max(request.since, request.daysSince, 0);
  const since = Math.floor(start / finest(start)) * finest(start);
  const until =
    request.until === null
      ? null
      : Math.max(since, Math.ceil(request.until / finest(request.until)) * finest(request.until));

  const buckets: PlannedRange[] = [];
  const edges: { from: number; to: number }[] = [];
  const add = (grain: Grain, from: number, to: number, sign: 1 | -1 = 1): void => {
    if (to > from) buckets.push({ grain, from: from / GRAINS[grain].ms, to: to / GRAINS[grain].ms, sign });
  };

  // Upwards from the left: each grain up to where the next larger one begins.
  let left = since;
  const end = until ?? Number.MAX_SAFE_INTEGER;
  const minuteUp = Math.min(ceilTo(left, GRAINS[MINUTE].ms), end);
  if (minuteUp > left) edges.push({ from: left, to: minuteUp });
  left = minuteUp;
  for (const grain of [MINUTE, HOUR, DAY] as const) {
    const larger = GRAINS[grain + 1]?.ms ?? 1;
    const next = ceilTo(left, larger);
    const before = next - larger;
    // The larger bucket is there whole unless pruning has reached into it, which only happens to blocks.
    if (left - before < next - left && floorTo(end, larger) >= next && before >= request.daysSince) {
      add(grain, before, left, -1);
      left = before;
      continue;
    }
    const stop = Math.min(next, floorTo(end, GRAINS[grain].ms));
    if (stop <= left) continue;
    add(grain, left, stop);
    left = stop;
  }
  // Downwards to the right end: what is left of the largest, then of each smaller.
  if (until === null) {
    buckets.push({ grain: BLOCK, from: bucketOf(left, BLOCK), to: MAX_BUCKET, sign: 1 });
    return { buckets, edges, since, until };
  }
  for (const grain of [BLOCK, DAY, HOUR, MINUTE] as const) {
    const stop = floorTo(end, GRAINS[grain].ms);
    if (stop <= left || left % GRAINS[grain].ms !== 0) continue;
    add(grain, left, stop);
    left = stop;
  }
  if (end > left) edges.push({ from: left, to: end });
  return { buckets, edges, since, until };
}

/** Is after every bucket there can be; fits the column of either database. */
const MAX_BUCKET = 2_000_000_000;

function ceilTo(at: number, step: number): number {
  return Math.ceil(at / step) * step;
}

function floorTo(at: number, step: number): number {
  return Math.floor(at / step) * step;
}
