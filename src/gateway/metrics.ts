/**
 * Metrics of the daemon: what its calls to providers took, and how its parts are.
 *
 * Names follow OpenTelemetry's conventions for generative AI where they have one
 * (opentelemetry.io/docs/specs/semconv/gen-ai), written as Prometheus writes them. Values of labels
 * that a caller chooses are bounded: beyond the first ones, all others count as "other".
 */

import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { DEFAULT_ORGANIZATION } from '../protocol/credential.ts';
import type { Status } from '../protocol/status.ts';
import { TOKEN_COLUMNS, type UsageStatus } from '../protocol/usage.ts';
import { isCall, isReport, type RawEvent } from '../usage/event.ts';
import {
  formatFamilies,
  PROMETHEUS_TYPE,
  type Family,
  type HistogramSample,
  type Labels,
  type Sample,
} from './prometheus-text.ts';

/** Maximum number of values of a label that callers choose. */
const MAX_VALUES = 100;

/** Longest value of a label, in characters. */
const MAX_VALUE_LENGTH = 64;

const OTHER = 'other';

/** Bounds of durations in seconds, of OpenTelemetry's `gen_ai.client.operation.duration`. */
const DURATION_BOUNDS = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];

/** Bounds of tokens, of OpenTelemetry's `gen_ai.client.token.usage`. */
const TOKEN_BOUNDS = [1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304];

/**
 * Time without a scrape after which the event loop is not watched any more: watching wakes the
 * process.
 */
const WATCH_MS = 300_000;

/** Interval in which the event loop is watched, in milliseconds. */
const WATCH_RESOLUTION_MS = 20;

interface Counter {
  readonly labels: Labels;
  value: number;
}

/** Counters of one metric by their labels. */
class Counters {
  readonly #values = new Map<string, Counter>();

  /** Returns the counter with these labels, made where there is none. */
  of(labels: Labels): Counter {
    const name = Object.values(labels).join('\0');
    const counter = this.#values.get(name) ?? { labels, value: 0 };
    this.#values.set(name, counter);
    return counter;
  }

  get samples(): readonly Sample[] {
    return [...this.#values.values()];
  }
}

/** One distribution of values. */
class Histogram implements HistogramSample {
  readonly labels: Labels;
  readonly counts: number[];
  above = 0;
  sum = 0;
  readonly #bounds: readonly number[];

  constructor(labels: Labels, bounds: readonly number[]) {
    this.labels = labels;
    this.counts = bounds.map(() => 0);
    this.#bounds = bounds;
  }

  add(value: number): void {
    let at = 0;
    while (at < this.#bounds.length && value > (this.#bounds[at] ?? 0)) at += 1;
    if (at === this.#bounds.length) this.above += 1;
    else this.counts[at] = (this.counts[at] ?? 0) + 1;
    this.sum += value;
  }
}

/** Distributions of one metric by their labels. */
class Histograms {
  readonly bounds: readonly number[];
  readonly #values = new Map<string, Histogram>();

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
  }

  /** Returns the distribution with these labels, made where there is none. */
  of(labels: Labels): Histogram {
    const name = Object.values(labels).join('\0');
    const histogram = this.#values.get(name) ?? new Histogram(labels, this.bounds);
    this.#values.set(name, histogram);
    return histogram;
  }

  get samples(): readonly HistogramSample[] {
    return [...this.#values.values()];
  }
}

/** Returns what `make` makes, which is called once, when it is needed. */
function lazily<Value extends object>(make: () => Value): () => Value {
  let made: Value | undefined;
  return () => (made ??= make());
}

/** The first values of a label; every other one is `other`. */
class BoundedValues {
  readonly #known = new Set<string>();

  bound(value: string | null | undefined): string {
    if (value === null || value === undefined || value === '') return 'none';
    const short = value.slice(0, MAX_VALUE_LENGTH);
    if (!this.#known.has(short)) {
      if (this.#known.size >= MAX_VALUES) return OTHER;
      this.#known.add(short);
    }
    return short;
  }
}

/** Columns of tokens that are a part of the prompt or the completion. */
const PARTS = TOKEN_COLUMNS.flatMap(({ field, part }) => (part === undefined ? [] : [{ field, part }]));

/**
 * The counters and distributions of the calls of one operation to one model; each is made when it
 * is needed.
 */
interface CallSeries {
  readonly provider: string;
  readonly requests: Readonly<Record<UsageStatus, () => Counter>>;
  readonly durations: () => Histogram;
  readonly firstChunks: () => Histogram;
  readonly cost: () => Counter;
  readonly input: () => Histogram;
  readonly output: () => Histogram;
  readonly parts: readonly { readonly field: (typeof PARTS)[number]['field']; readonly counter: () => Counter }[];
}

function isPositive(value: number | null | undefined): value is number {
  return typeof value === 'number' && value > 0;
}

/** Metrics of the calls with the keys of one organization. */
class CallMetrics {
  readonly #providers = new BoundedValues();
  readonly #models = new BoundedValues();
  readonly #operations = new BoundedValues();
  readonly #errors = new BoundedValues();
  readonly #requests = new Counters();
  readonly #failures = new Counters();
  readonly #cost = new Counters();
  readonly #tokenParts = new Counters();
  readonly #durations = new Histograms(DURATION_BOUNDS);
  readonly #firstChunks = new Histograms(DURATION_BOUNDS);
  readonly #tokens = new Histograms(TOKEN_BOUNDS);

  readonly #series = new Map<string, CallSeries>();

  /** Counts one call, or what a later report on it adds. */
  add(event: RawEvent): void {
    const { status, latencyMs, firstTokenMs, promptTokens, completionTokens, costMicros } = event;
    const series = this.#seriesOf(event);
    if (typeof costMicros === 'number') series.cost().value += costMicros / 1_000_000;
    if (typeof promptTokens === 'number') series.input().add(promptTokens);
    if (typeof completionTokens === 'number') series.output().add(completionTokens);
    for (const { field, counter } of series.parts) {
      const tokens = event[field];
      if (isPositive(tokens)) counter().value += tokens;
    }
    // The call itself was counted before its report.
    if (isReport(event.operation)) return;
    series.requests[status]().value += 1;
    if (status !== 'success') {
      const labels = { gen_ai_provider_name: series.provider, error_type: this.#errors.bound(event.errorCode) };
      this.#failures.of(labels).value += 1;
    }
    if (typeof latencyMs === 'number') series.durations().add(latencyMs / 1000);
    if (typeof firstTokenMs === 'number') series.firstChunks().add(firstTokenMs / 1000);
  }

  /** Finds what a call is counted in, by one name instead of the labels of each metric. */
  #seriesOf(event: RawEvent): CallSeries {
    const operation = this.#operations.bound(event.operation);
    const provider = this.#providers.bound(event.provider);
    const model = this.#models.bound(event.model);
    const name = `${operation}\0${provider}\0${model}`;
    let series = this.#series.get(name);
    if (!series) {
      series = this.#makeSeries(operation, provider, model);
      this.#series.set(name, series);
    }
    return series;
  }

  #makeSeries(operation: string, provider: string, model: string): CallSeries {
    const used = { gen_ai_provider_name: provider, gen_ai_request_model: model };
    const call = { gen_ai_operation_name: operation, ...used };
    const requests = (status: UsageStatus) => lazily(() => this.#requests.of({ ...call, status }));
    const tokens = (type: string) => lazily(() => this.#tokens.of({ ...used, gen_ai_token_type: type }));
    return {
      provider,
      requests: { success: requests('success'), failed: requests('failed'), reach_limit: requests('reach_limit') },
      durations: lazily(() => this.#durations.of(call)),
      firstChunks: lazily(() => this.#firstChunks.of(call)),
      cost: lazily(() => this.#cost.of(used)),
      input: tokens('input'),
      output: tokens('output'),
      parts: PARTS.map(({ field, part: kind }) => ({
        field,
        counter: lazily(() => this.#tokenParts.of({ ...used, kind })),
      })),
    };
  }

  /** Yields the metrics, always the same in the same order. */
  *families(): Generator<Family> {
    yield {
      name: 'aipassd_requests_total',
      help: 'Calls to providers by outcome.',
      type: 'counter',
      samples: this.#requests.samples,
    };
    yield {
      name: 'aipassd_errors_total',
      help: 'Failed calls by class of error.',
      type: 'counter',
      samples: this.#failures.samples,
    };
    yield {
      name: 'gen_ai_client_operation_duration_seconds',
      help: 'Time from the request to the end of its answer.',
      type: 'histogram',
      bounds: this.#durations.bounds,
      samples: this.#durations.samples,
    };
    yield {
      name: 'gen_ai_client_operation_time_to_first_chunk_seconds',
      help: 'Time from the request to the first content of its answer.',
      type: 'histogram',
      bounds: this.#firstChunks.bounds,
      samples: this.#firstChunks.samples,
    };
    yield {
      name: 'gen_ai_client_token_usage',
      help: 'Tokens of a call. Input includes cached tokens, output includes reasoning.',
      type: 'histogram',
      bounds: this.#tokens.bounds,
      samples: this.#tokens.samples,
    };
    yield {
      name: 'aipassd_token_parts_total',
      help: 'Tokens by kind, each of them also counted as input or output.',
      type: 'counter',
      samples: this.#tokenParts.samples,
    };
    yield {
      name: 'aipassd_cost_usd_total',
      help: 'Known cost in dollars.',
      type: 'counter',
      samples: this.#cost.samples,
    };
  }
}

/**
 * Collects metrics and formats them: calls with the keys of an organization are shown to its people
 * only.
 */
export class Metrics {
  readonly #calls = new Map<string, CallMetrics>([[DEFAULT_ORGANIZATION, new CallMetrics()]]);
  #loopDelay: ReturnType<typeof monitorEventLoopDelay> | undefined;
  #watchEnd: NodeJS.Timeout | undefined;

  /** Counts one call to a provider, or what a later report on it adds, as it was recorded. */
  readonly observe = (event: RawEvent): void => {
    if (!isCall(event)) return;
    const organization = event.organization ?? DEFAULT_ORGANIZATION;
    const calls = this.#calls.get(organization) ?? new CallMetrics();
    this.#calls.set(organization, calls);
    calls.add(event);
  };

  /**
   * Formats the metrics of the calls for some organizations, and those of the daemon where its
   * status is given.
   */
  format(
    status: Status | undefined,
    organizations: Iterable<string> = [DEFAULT_ORGANIZATION],
  ): { readonly type: string; readonly text: string } {
    const calls = this.#families(organizations);
    if (status === undefined) return { type: PROMETHEUS_TYPE, text: formatFamilies(calls) };
    this.#watchLoop();
    return {
      type: PROMETHEUS_TYPE,
      text: formatFamilies([...calls, ...statusFamilies(status), ...this.#process()]),
    };
  }

  /** Ends the watch over the event loop. */
  close(): void {
    clearTimeout(this.#watchEnd);
    this.#loopDelay?.disable();
    this.#loopDelay = undefined;
  }

  /**
   * Returns each metric of calls once, the samples of other organizations than the default one with
   * their name.
   */
  #families(organizations: Iterable<string>): readonly Family[] {
    const own = [...organizations].flatMap((organization) =>
      [...(this.#calls.get(organization)?.families() ?? [])].map((family) => labelled(family, organization)),
    );
    return [...Map.groupBy(own, ({ name }) => name).values()].flatMap((families) => merged(families) ?? []);
  }

  *#process(): Generator<Family> {
    const { user, system } = process.cpuUsage();
    yield one('process_cpu_seconds_total', 'CPU time of the process.', (user + system) / 1_000_000, 'counter');
    yield one('process_resident_memory_bytes', 'Resident memory of the process.', process.memoryUsage.rss());
    yield one('process_start_time_seconds', 'Start of the process since the epoch.', performance.timeOrigin / 1000);
    const delay = this.#loopDelay;
    if (delay === undefined) return;
    yield {
      name: 'nodejs_eventloop_lag_seconds',
      help: 'Delay of the event loop since the last scrape.',
      type: 'gauge',
      samples: [
        delaySample('0.5', delay.percentile(50)),
        delaySample('0.99', delay.percentile(99)),
        delaySample('1', delay.max),
      ],
    };
    delay.reset();
  }

  #watchLoop(): void {
    if (this.#loopDelay === undefined) {
      this.#loopDelay = monitorEventLoopDelay({ resolution: WATCH_RESOLUTION_MS });
      this.#loopDelay.enable();
    }
    clearTimeout(this.#watchEnd);
    this.#watchEnd = setTimeout(() => this.close(), WATCH_MS);
    this.#watchEnd.unref();
  }
}

function* statusFamilies(status: Status): Generator<Family> {
  yield {
    name: 'aipassd_build_info',
    help: 'Version of the daemon.',
    type: 'gauge',
    samples: [{ labels: { version: status.version, node: status.node }, value: 1 }],
  };
  yield one('aipassd_connections', 'Open connections of both endpoints.', status.connections);
  yield one('aipassd_requests_in_flight', 'Requests without a complete answer.', status.requestsInFlight);
  yield one('aipassd_warnings', 'Warnings that the status lists.', status.warnings.length);
  yield {
    name: 'aipassd_keys',
    help: 'Keys of a provider by state.',
    type: 'gauge',
    samples: status.pools.flatMap(({ provider, keys }) => {
      const counts = Map.groupBy(keys, ({ state }) => state);
      return [...counts].map(([state, of]) => ({ labels: { provider, state }, value: of.length }));
    }),
  };
  yield {
    name: 'aipassd_oauth_accounts',
    help: 'OAuth accounts by state.',
    type: 'gauge',
    samples: [...Map.groupBy(status.accounts, ({ state }) => state)].map(([state, of]) => ({
      labels: { state },
      value: of.length,
    })),
  };
  const now = status.startedAt + status.uptimeMs;
  yield {
    name: 'aipassd_oauth_token_expiry_seconds',
    help: 'Time until the access token of an account expires; negative once it has expired.',
    type: 'gauge',
    samples: status.accounts.flatMap(({ name, expiresAt }) =>
      expiresAt === null ? [] : [{ labels: { account: name }, value: (expiresAt - now) / 1000 }],
    ),
  };
  yield one(
    'aipassd_usage_queued_bytes',
    'Size of the usage queue that is not in the database yet.',
    status.usage.queuedBytes,
  );
  yield one(
    'aipassd_usage_lag_seconds',
    'Age of the oldest usage event that is not in the database yet.',
    status.usage.lagMs / 1000,
  );
  yield one('aipassd_usage_waiting_events', 'Usage events that are in memory only.', status.usage.waitingInMemory);
  yield one('aipassd_usage_lost_total', 'Usage events that were lost.', status.usage.lost, 'counter');
  yield one('aipassd_audit_entries_total', 'Entries of the audit.', status.audit.seq, 'counter');
}

function labelled(family: Family, organization: string): Family {
  if (organization === DEFAULT_ORGANIZATION) return family;
  const label = <T extends { readonly labels: Labels }>(sample: T): T => ({
    ...sample,
    labels: { ...sample.labels, organization },
  });
  return family.type === 'histogram'
    ? { ...family, samples: family.samples.map(label) }
    : { ...family, samples: family.samples.map(label) };
}

/** Returns families of one name as one. */
function merged(families: readonly Family[]): Family | undefined {
  return families.reduce((all, next) => {
    if (all.type === 'histogram' && next.type === 'histogram') {
      return { ...all, samples: [...all.samples, ...next.samples] };
    }
    if (all.type === 'histogram' || next.type === 'histogram') return all;
    return { ...all, samples: [...all.samples, ...next.samples] };
  });
}

/**
 * Returns one quantile of the delay; the histogram holds whole intervals of the watch, and nothing
 * before the first.
 */
function delaySample(quantile: string, nanoseconds: number): Sample {
  const seconds = nanoseconds / 1e9 - WATCH_RESOLUTION_MS / 1000;
  return { labels: { quantile }, value: Number.isFinite(seconds) && seconds > 0 && seconds < 3600 ? seconds : 0 };
}

function one(name: string, help: string, value: number, type: 'counter' | 'gauge' = 'gauge'): Family {
  return { name, help, type, samples: [{ labels: {}, value }] };
}
