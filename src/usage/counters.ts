/**
 * Counters of this run, for metrics: cheap to keep and to read, and gone with the process. Names that programs make up
 * must not grow them: beyond a bound they are counted together.
 */

import type { UsageStatus } from '../protocol/usage.ts';
import { isCall, type RawEvent } from './event.ts';

/** Maximum number of providers, and of error codes of one provider, that are counted on their own. */
const MAX_NAMES = 100;

const OTHERS = '(others)';

/** Upper bounds of the latency histogram, in milliseconds; a last bucket has what took longer. */
export const LATENCY_BOUNDS_MS = [50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000] as const;

/** What one provider was asked for in this run. */
export interface ProviderCounters {
  readonly provider: string;
  /** Numbers of requests by how they ended. */
  readonly requests: Readonly<Record<UsageStatus, number>>;
  /** Number of times the provider was asked, more than the requests where calls were tried again. */
  readonly attempts: number;
  /** Numbers of failed attempts by error code. */
  readonly errors: Readonly<Record<string, number>>;
  readonly tokens: {
    readonly prompt: number;
    readonly completion: number;
    readonly cached: number;
    readonly cacheWrite: number;
    readonly reasoning: number;
  };
  readonly costMicros: number;
  /** Latencies: their sum, and how many fell into each bucket of LATENCY_BOUNDS_MS. */
  readonly latency: { readonly sumMs: number; readonly counts: readonly number[] };
}

/** Counters of one provider while they grow. */
interface Growing {
  readonly requests: Record<UsageStatus, number>;
  attempts: number;
  readonly errors: Map<string, number>;
  readonly tokens: { prompt: number; completion: number; cached: number; cacheWrite: number; reasoning: number };
  costMicros: number;
  latencySumMs: number;
  readonly latencyCounts: number[];
}

/** Counts what is recorded. */
export class UsageCounters {
  readonly #providers = new Map<string, Growing>();
  readonly #releases = new Map<string, number>();

  /** Counts one event as it was reported. */
  add(event: RawEvent): void {
    if (isCall(event)) this.#addCall(event);
    else this.#releases.set(event.operation, (this.#releases.get(event.operation) ?? 0) + 1);
  }

  /** Numbers of credentials that were handed out, or asked for in vain, by operation. */
  releases(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#releases);
  }

  /** Counters of each provider. */
  providers(): ProviderCounters[] {
    return [...this.#providers].map(([provider, growing]) => ({
      provider,
      requests: { ...growing.requests },
      attempts: growing.attempts,
      errors: Object.fromEntries(growing.errors),
      tokens: { ...growing.tokens },
      costMicros: growing.costMicros,
      latency: { sumMs: growing.latencySumMs, counts: [...growing.latencyCounts] },
    }));
  }

  /** Counts what a report adds to a call that was counted before. */
  addReport(event: RawEvent): void {
    addAmounts(bounded(this.#providers, event.provider ?? 'unknown', newCounters), event);
  }

  #addCall(event: RawEvent): void {
    const growing = bounded(this.#providers, event.provider ?? 'unknown', newCounters);
    growing.attempts += 1;
    if (event.retried !== true) growing.requests[event.status] += 1;
    if (event.status !== 'success') {
      const code = event.errorCode ?? event.status;
      const place = growing.errors.has(code) || growing.errors.size < MAX_NAMES ? code : OTHERS;
      growing.errors.set(place, (growing.errors.get(place) ?? 0) + 1);
    }
    if (typeof event.latencyMs === 'number') {
      const latency = event.latencyMs;
      const bucket = LATENCY_BOUNDS_MS.findIndex((bound) => latency <= bound);
      const place = bucket === -1 ? LATENCY_BOUNDS_MS.length : bucket;
      growing.latencySumMs += latency;
      growing.latencyCounts[place] = (growing.latencyCounts[place] ?? 0) + 1;
    }
    addAmounts(growing, event);
  }
}

function addAmounts(growing: Growing, event: RawEvent): void {
  growing.tokens.prompt += event.promptTokens ?? 0;
  growing.tokens.completion += event.completionTokens ?? 0;
  growing.tokens.cached += event.cachedTokens ?? 0;
  growing.tokens.cacheWrite += event.cacheWriteTokens ?? 0;
  growing.tokens.reasoning += event.reasoningTokens ?? 0;
  growing.costMicros += event.costMicros ?? 0;
}

function newCounters(): Growing {
  return {
    requests: { success: 0, failed: 0, reach_limit: 0 },
    attempts: 0,
    errors: new Map(),
    tokens: { prompt: 0, completion: 0, cached: 0, cacheWrite: 0, reasoning: 0 },
    costMicros: 0,
    latencySumMs: 0,
    latencyCounts: Array.from({ length: LATENCY_BOUNDS_MS.length + 1 }, () => 0),
  };
}

function bounded<Value>(map: Map<string, Value>, name: string, make: () => Value): Value {
  const place = map.has(name) || map.size < MAX_NAMES ? name : OTHERS;
  let value = map.get(place);
  if (value === undefined) {
    value = make();
    map.set(place, value);
  }
  return value;
}
