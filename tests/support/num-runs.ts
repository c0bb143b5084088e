/**
 * How often a property is tried: few times while somebody waits, more in CI, which sets
 * FC_NUM_RUNS.
 */

/**
 * Returns the number of runs: `usual`, or FC_NUM_RUNS where that is more, but at most `most` for
 * expensive properties.
 */
export function numRuns(usual: number, most = Number.MAX_SAFE_INTEGER): number {
  const wanted = Number(process.env['FC_NUM_RUNS']);
  return Number.isSafeInteger(wanted) && wanted > usual ? Math.min(wanted, most) : usual;
}
