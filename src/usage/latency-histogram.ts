/**
 * Latencies as counts in fixed buckets, so that percentiles of ten million calls are sums of a few rows. Pure.
 *
 * Bucket 0 holds what took under 16 ms; each further bucket is wider by the factor 1.6; the last holds what took over
 * nine minutes. A percentile is told as the middle of its bucket, and so is off by 27 % at most from 16 ms on.
 */

/** Is how many buckets there are; the totals table has a column for each. */
export const LATENCY_BUCKETS = 24;

const FIRST_BOUND_MS = 16;
const GROWTH = 1.6;
const LOG_GROWTH = Math.log(GROWTH);

/** Returns the bucket of a latency in milliseconds. */
export function latencyBucket(latencyMs: number): number {
  if (latencyMs < FIRST_BOUND_MS) return 0;
  const bucket = 1 + Math.floor(Math.log(latencyMs / FIRST_BOUND_MS) / LOG_GROWTH);
  return Math.min(bucket, LATENCY_BUCKETS - 1);
}

/** Returns the latency in milliseconds that a share (0 to 1) of the calls stayed within, or null where none was measured. */
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

/** Returns the geometric middle of a bucket; of the last one, which has no upper end, the lower bound. */
function middle(bucket: number): number {
  if (bucket === 0) return FIRST_BOUND_MS / 2;
  const lowerBound = FIRST_BOUND_MS * GROWTH ** (bucket - 1);
  return bucket === LATENCY_BUCKETS - 1 ? lowerBound : lowerBound * Math.sqrt(GROWTH);
}
