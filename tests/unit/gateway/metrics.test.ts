import { expect, it } from 'vitest';
import { Metrics } from '../../../src/gateway/metrics.ts';
import { formatFamilies } from '../../../src/gateway/prometheus-text.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { makeStatus } from '../../support/status-fixture.ts';

const STATUS = makeStatus({
  node: '24.0.0',
  startedAt: 1_000_000,
  uptimeMs: 500,
  connections: 3,
  requestsInFlight: 2,
  accounts: [
    {
      name: 'google',
      kind: 'google',
      state: 'fresh',
      scopes: [],
      missingScopes: [],
      refreshExpiresAt: null,
      expiresAt: 1_060_500,
      nextRefreshAt: null,
      lastOutcome: null,
      action: null,
    },
  ],
  audit: { seq: 7, hash: '' },
  usage: { queuedBytes: 10, lagMs: 250 },
});

/** Formats metrics and returns the values by name and labels. */
function valuesOf(metrics: Metrics): Readonly<Record<string, number>> {
  const { text } = metrics.format(STATUS);
  metrics.close();
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]),
  );
}

const CALL = { operation: 'chat.create', provider: 'openai', model: 'gpt-5-mini' } as const;

it('counts requests, errors by class, tokens by kind, cost and latencies', () => {
  const metrics = new Metrics(new ManualClock());
  metrics.observe({
    ...CALL,
    status: 'success',
    promptTokens: 11,
    completionTokens: 5,
    cachedTokens: 3,
    costMicros: 1500,
    latencyMs: 300,
    firstTokenMs: 15,
  });
  metrics.observe({ ...CALL, status: 'failed', errorCode: 'PROVIDER_REJECTED' });
  metrics.observe({ operation: 'key.get', status: 'success' });
  const values = valuesOf(metrics);
  const call = 'gen_ai_operation_name="chat.create",gen_ai_provider_name="openai",gen_ai_request_model="gpt-5-mini"';
  const used = 'gen_ai_provider_name="openai",gen_ai_request_model="gpt-5-mini"';
  expect(values).toMatchObject({
    [`aipassd_requests_total{${call},status="success"}`]: 1,
    [`aipassd_requests_total{${call},status="failed"}`]: 1,
    'aipassd_errors_total{gen_ai_provider_name="openai",error_type="PROVIDER_REJECTED"}': 1,
    [`gen_ai_client_token_usage_sum{${used},gen_ai_token_type="input"}`]: 11,
    [`gen_ai_client_token_usage_sum{${used},gen_ai_token_type="output"}`]: 5,
    [`aipassd_token_parts_total{${used},kind="cache_read"}`]: 3,
    [`aipassd_cost_usd_total{${used}}`]: 0.0015,
    [`gen_ai_client_operation_duration_seconds_bucket{${call},le="0.16"}`]: 0,
    [`gen_ai_client_operation_duration_seconds_bucket{${call},le="0.32"}`]: 1,
    [`gen_ai_client_operation_duration_seconds_bucket{${call},le="+Inf"}`]: 1,
    [`gen_ai_client_operation_time_to_first_chunk_seconds_count{${call}}`]: 1,
  });
});

it('adds what a later report knows of a call, and does not count the call again', () => {
  const metrics = new Metrics(new ManualClock());
  metrics.observe({ ...CALL, status: 'success', promptTokens: 11 });
  metrics.observe({ ...CALL, operation: 'usage.track', status: 'success', costMicros: 1500 });
  const used = 'gen_ai_provider_name="openai",gen_ai_request_model="gpt-5-mini"';
  const values = valuesOf(metrics);
  expect(values).toMatchObject({ [`aipassd_cost_usd_total{${used}}`]: 0.0015 });
  expect(Object.entries(values).filter(([name]) => name.startsWith('aipassd_requests_total'))).toMatchObject([
    [expect.any(String), 1],
  ]);
});

it('shows how the parts of the daemon are', () => {
  expect(valuesOf(new Metrics(new ManualClock()))).toMatchObject({
    'aipassd_build_info{version="1.2.3",node="24.0.0"}': 1,
    aipassd_connections: 3,
    'aipassd_oauth_accounts{state="fresh"}': 1,
    'aipassd_oauth_token_expiry_seconds{account="google"}': 60,
    aipassd_usage_queued_bytes: 10,
    aipassd_usage_lag_seconds: 0.25,
    aipassd_audit_entries_total: 7,
    'nodejs_eventloop_lag_seconds{quantile="0.99"}': 0,
  });
});

it('a caller cannot make more values of a label than there is room for', () => {
  const metrics = new Metrics(new ManualClock());
  for (let at = 0; at < 1000; at += 1) {
    metrics.observe({
      operation: 'chat.create',
      provider: `p${at}`,
      model: `m${at}`.padEnd(500, 'x'),
      status: 'success',
    });
  }
  const names = Object.keys(valuesOf(metrics)).filter((name) => name.startsWith('aipassd_requests_total'));
  expect(names).toHaveLength(101);
  expect(names.at(-1)).toContain('gen_ai_provider_name="other",gen_ai_request_model="other"');
  expect(Math.max(...names.map((name) => name.length))).toBeLessThan(300);
});

it('values of labels cannot break out of their quotes', () => {
  const samples = [{ labels: { model: 'a"} 1\nforged{x="\\' }, value: 1 }];
  expect(formatFamilies([{ name: 'm', help: 'h', type: 'gauge', samples }])).toBe(
    '# HELP m h\n# TYPE m gauge\nm{model="a\\"} 1\\nforged{x=\\"\\\\"} 1\n',
  );
});

it('the event loop is watched for five minutes after a scrape, and no longer', () => {
  const clock = new ManualClock();
  const metrics = new Metrics(clock);
  expect(clock.waits).toEqual([]);
  metrics.format(STATUS);
  clock.advance(200_000);
  metrics.format(STATUS);
  expect(clock.waits).toEqual([300_000]);
  clock.advance(300_000);
  expect(clock.waits).toEqual([]);
  metrics.format(STATUS);
  metrics.close();
  expect(clock.waits).toEqual([]);
});
