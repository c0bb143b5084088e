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
import type { Clock } from '../base/clock.ts';
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

/** Counters or distributions of one metric by their labels. */
class Series<Value> {
  readonly #make: (labels: Labels) => Value;
  readonly #values = new Map<string, Value>();

  constructor(make: (labels: Labels) => Value) {
    this.#make = make;
  }

  /** Returns the one with these labels, made where there is none. */
  of(labels: Labels): Value {
    const name = Object.values(labels).join('\0');
    const value = this.#values.get(name) ?? this.#make(labels);
    this.#values.set(name, value);
    return value;
  }

  get samples(): readonly Value[] {
    return [...this.#values.values()];
  }
}

const counters = (): Series<Counter> => new Series((labels) => ({ labels, value: 0 }));
const histograms = (bounds: readonly number[]): Series<Histogram> =>
  new Series((labels) => new Histogram(labels, bounds));

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
  readonly parts: readonly { readonly field: (typeof PARTS)[number]['field']; readonly total: () => Counter }[];
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
  readonly #requests = counters();
  readonly #failures = counters();
  readonly #cost = counters();
  readonly #tokenParts = counters();
  readonly #durations = histograms(DURATION_BOUNDS);
  readonly #firstChunks = histograms(DURATION_BOUNDS);
  readonly #tokens = histograms(TOKEN_BOUNDS);

  readonly #series = new Map<string, CallSeries>();
  /** Label of the organization; the default one has none. */
  readonly #own: Labels;

  constructor(organization: string) {
    this.#own = organization === DEFAULT_ORGANIZATION ? {} : { organization };
  }

  /** Counts one call, or what a later report on it adds. */
  add(event: RawEvent): void {
    const { status, latencyMs, firstTokenMs, promptTokens, completionTokens, costMicros } = event;
    const series = this.#seriesOf(event);
    if (typeof costMicros === 'number') series.cost().value += costMicros / 1_000_000;
    if (typeof promptTokens === 'number') series.input().add(promptTokens);
    if (typeof completionTokens === 'number') series.output().add(completionTokens);
    for (const { field, total } of series.parts) {
      const tokens = event[field];
      if (isPositive(tokens)) total().value += tokens;
    }
    // The call itself was counted before its report.
    if (isReport(event.operation)) return;
    series.requests[status]().value += 1;
    if (status !== 'success') {
      const error = { gen_ai_provider_name: series.provider, error_type: this.#errors.bound(event.errorCode) };
      this.#failures.of({ ...error, ...this.#own }).value += 1;
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
    const own = this.#own;
    const requests = (status: UsageStatus) => lazily(() => this.#requests.of({ ...call, status, ...own }));
    const tokens = (type: string) => lazily(() => this.#tokens.of({ ...used, gen_ai_token_type: type, ...own }));
    return {
      provider,
      requests: { success: requests('success'), failed: requests('failed'), reach_limit: requests('reach_limit') },
      durations: lazily(() => this.#durations.of({ ...call, ...own })),
      firstChunks: lazily(() => this.#firstChunks.of({ ...call, ...own })),
      cost: lazily(() => this.#cost.of({ ...used, ...own })),
      input: tokens('input'),
      output: tokens('output'),
      parts: PARTS.map(({ field, part: kind }) => ({
        field,
        total: lazily(() => this.#tokenParts.of({ ...used, kind, ...own })),
      })),
    };
  }

  /** Yields the metrics, always the same in the same order. */
  *families(): Generator<Family> {
    yield counter('aipassd_requests_total', 'Attempts at providers by outcome.', this.#requests.samples);
    yield counter('aipassd_errors_total', 'Failed attempts by class of error.', this.#failures.samples);
    yield {
      name: 'gen_ai_client_operation_duration_seconds',
      help: 'Time from the request to the end of its answer.',
      type: 'histogram',
      bounds: DURATION_BOUNDS,
      samples: this.#durations.samples,
    };
    yield {
      name: 'gen_ai_client_operation_time_to_first_chunk_seconds',
      help: 'Time from the request to the first content of its answer.',
      type: 'histogram',
      bounds: DURATION_BOUNDS,
      samples: this.#firstChunks.samples,
    };
    yield {
      name: 'gen_ai_client_token_usage',
      help: 'Tokens of a call. Input includes cached tokens, output includes reasoning.',
      type: 'histogram',
      bounds: TOKEN_BOUNDS,
      samples: this.#tokens.samples,
    };
    const parts = 'Tokens by kind, each of them also counted as input or output.';
    yield counter('aipassd_token_parts_total', parts, this.#tokenParts.samples);
    yield counter('aipassd_cost_usd_total', 'Known cost in dollars.', this.#cost.samples);
  }
}

/**
 * Collects metrics and formats them: calls with the keys of an organization are shown to its people
 * only.
 */
export class Metrics {
  readonly #clock: Pick<Clock, 'after'>;
  readonly #calls = new Map([[DEFAULT_ORGANIZATION, new CallMetrics(DEFAULT_ORGANIZATION)]]);
  #loopDelay: ReturnType<typeof monitorEventLoopDelay> | undefined;
  #cancelWatchEnd: (() => void) | undefined;

  constructor(clock: Pick<Clock, 'after'>) {
    this.#clock = clock;
  }

  /** Counts one call to a provider, or what a later report on it adds, as it was recorded. */
  readonly observe = (event: RawEvent): void => {
    if (!isCall(event)) return;
    const organization = event.organization ?? DEFAULT_ORGANIZATION;
    const calls = this.#calls.get(organization) ?? new CallMetrics(organization);
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
    this.#cancelWatchEnd?.();
    this.#loopDelay?.disable();
    this.#loopDelay = undefined;
  }

  /** Returns each metric of calls once, with the samples of all these organizations. */
  #families(organizations: Iterable<string>): readonly Family[] {
    const own = [...organizations].flatMap((organization) => [...(this.#calls.get(organization)?.families() ?? [])]);
    return [...Map.groupBy(own, ({ name }) => name).values()].flatMap((families) => merged(families) ?? []);
  }

  *#process(): Generator<Family> {
    const { user, system } = process.cpuUsage();
    yield one('process_cpu_seconds_total', 'CPU time of the process.', (user + system) / 1_000_000, 'counter');
    yield one('process_resident_memory_bytes', 'Resident memory of the process.', process.memoryUsage.rss());
    yield one('process_start_time_seconds', 'Start of the process since the epoch.', performance.timeOrigin / 1000);
    const delay = this.#loopDelay;
    if (delay === undefined) return;
    yield gauge('nodejs_eventloop_lag_seconds', 'Delay of the event loop since the last scrape.', [
      delaySample('0.5', delay.percentile(50)),
      delaySample('0.99', delay.percentile(99)),
      delaySample('1', delay.max),
    ]);
    delay.reset();
  }

  #watchLoop(): void {
    if (this.#loopDelay === undefined) {
      this.#loopDelay = monitorEventLoopDelay({ resolution: WATCH_RESOLUTION_MS });
      this.#loopDelay.enable();
    }
    this.#cancelWatchEnd?.();
    this.#cancelWatchEnd = this.#clock.after(WATCH_MS, () => this.close());
  }
}

function* statusFamilies(status: Status): Generator<Family> {
  const { version, node, pools, accounts, usage } = status;
  yield gauge('aipassd_build_info', 'Version of the daemon.', [{ labels: { version, node }, value: 1 }]);
  yield one('aipassd_connections', 'Open connections of both endpoints.', status.connections);
  yield one('aipassd_requests_in_flight', 'Requests without a complete answer.', status.requestsInFlight);
  yield one('aipassd_warnings', 'Warnings that the status lists.', status.warnings.length);
  const keys = pools.flatMap(({ provider, keys: own }) => byState(own, { provider }));
  yield gauge('aipassd_keys', 'Keys of a provider by state.', keys);
  yield gauge('aipassd_oauth_accounts', 'OAuth accounts by state.', byState(accounts));
  const now = status.startedAt + status.uptimeMs;
  const lifetimes = accounts.flatMap(({ name, expiresAt }) =>
    expiresAt === null ? [] : [{ labels: { account: name }, value: (expiresAt - now) / 1000 }],
  );
  const expiry = 'Time until the access token of an account expires; negative once it has expired.';
  yield gauge('aipassd_oauth_token_expiry_seconds', expiry, lifetimes);
  const queued = 'Size of the usage queue that is not in the database yet.';
  yield one('aipassd_usage_queued_bytes', queued, usage.queuedBytes);
  const lag = 'Age of the oldest usage event that is not in the database yet.';
  yield one('aipassd_usage_lag_seconds', lag, usage.lagMs / 1000);
  yield one('aipassd_usage_waiting_events', 'Usage events that are in memory only.', usage.waitingInMemory);
  yield one('aipassd_usage_lost_total', 'Usage events that were lost.', usage.lost, 'counter');
  yield one('aipassd_audit_entries_total', 'Entries of the audit.', status.audit.seq, 'counter');
}

function byState(parts: readonly { readonly state: string }[], labels: Labels = {}): Sample[] {
  const states = Map.groupBy(parts, ({ state }) => state);
  return [...states].map(([state, of]) => ({ labels: { ...labels, state }, value: of.length }));
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

function counter(name: string, help: string, samples: readonly Sample[]): Family {
  return { name, help, type: 'counter', samples };
}

function gauge(name: string, help: string, samples: readonly Sample[]): Family {
  return { name, help, type: 'gauge', samples };
}

function one(name: string, help: string, value: number, type: 'counter' | 'gauge' = 'gauge'): Family {
  return { name, help, type, samples: [{ labels: {}, value }] };
}
