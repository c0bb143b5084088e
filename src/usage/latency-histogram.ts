/**
 * Latencies as counts in fixed buckets, so that percentiles of ten million calls are sums of a few rows. Pure.
 *
 * Bucket 0 holds what took under 16 ms; each further bucket is wider by the factor 1.6; the last holds what took over
 * nine minutes. A percentile is interpolated inside its bucket and so is off by less than a quarter.
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

/** Returns the latency in milliseconds that a share (0 to 1) of the calls stayed under, or null where none was measured. */
export function latencyPercentile(counts: readonly number[], share: number): number | null {
  const total = counts.reduce((sum, n) => sum + n, 0);
  if (total === 0) return null;
  let rank = share * total;
  for (const [bucket, n] of counts.entries()) {
    if (rank <= n && n > 0) return Math.round(lowerBound(bucket) + (rank / n) * width(bucket));
    rank -= n;
  }
  return Math.round(lowerBound(LATENCY_BUCKETS - 1));
}

function lowerBound(bucket: number): number {
  return bucket === 0 ? 0 : FIRST_BOUND_MS * GROWTH ** (bucket - 1);
}

/** Returns a bucket's width; the last one has no upper end, so its percentiles are its lower bound. */
function width(bucket: number): number {
  return bucket === LATENCY_BUCKETS - 1 ? 0 : FIRST_BOUND_MS * GROWTH ** bucket - lowerBound(bucket);
}
