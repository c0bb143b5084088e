/**
 * Turns sums as the database keeps them into figures for people. Pure.
 */

import type { UsageFigures } from '../../protocol/usage.ts';
import { latencyPercentile } from '../latency-histogram.ts';
import { addSums, latencyCounts, noSums, sumOf, type SumColumn, type Sums } from '../totals.ts';
import { EVENT_STATUSES } from '../event.ts';

/** Collects the sums of one group, status by status. */
export class FigureSums {
  readonly #all: Sums = noSums();
  #succeeded = 0;
  #limitReached = 0;

  add(status: number, sums: readonly number[]): void {
    addSums(this.#all, sums);
    if (status === EVENT_STATUSES.success) this.#succeeded += sumOf(sums, 'requests');
    if (status === EVENT_STATUSES.reach_limit) this.#limitReached += sumOf(sums, 'requests');
  }

  figures(): UsageFigures {
    const sum = (column: SumColumn): number => sumOf(this.#all, column);
    const mean = (column: SumColumn, known: SumColumn): number | null =>
      sum(known) === 0 ? null : Math.round(sum(column) / sum(known));
    const requests = sum('requests');
    const failed = requests - this.#succeeded - this.#limitReached;
    const latency = mean('latency_ms', 'latency_known');
    const percentile = (share: number): number => latencyPercentile(latencyCounts(this.#all), share) ?? 0;
    return {
      requests,
      succeeded: this.#succeeded,
      failed,
      limitReached: this.#limitReached,
      errorRate: requests === 0 ? null : (requests - this.#succeeded) / requests,
      releases: sum('releases'),
      tokens: {
        prompt: sum('prompt_tokens'),
        completion: sum('completion_tokens'),
        cached: sum('cached_tokens'),
        reasoning: sum('reasoning_tokens'),
        knownFor: sum('tokens_known'),
      },
      costMicros: sum('cost_micros'),
      costKnownFor: sum('cost_known'),
      latencyMs:
        latency === null ? null : { mean: latency, p50: percentile(0.5), p90: percentile(0.9), p99: percentile(0.99) },
      firstTokenMs: mean('first_token_ms', 'first_token_known'),
    };
  }
}
