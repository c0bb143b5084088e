/**
 * The limit headers of every provider, as `credential.usage` reports them: a daemon whose providers
 * are all on loopback.
 */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Aipass } from '../../src/client/index.ts';
import type { HeaderFields } from '../support/loopback-provider.ts';
import { startLoopbackProvider, type LoopbackProvider } from '../support/loopback-provider.ts';
import { createTestDaemon, type TestDaemon } from '../support/test-daemon.ts';

const soon = Math.floor(Date.now() / 1000) + 600;

/** A window, as far as it is compared. */
interface Expected {
  readonly [field: string]: { readonly limit?: number; readonly remaining?: number } | null;
}

const CASES: readonly (readonly [provider: string, headers: HeaderFields, expected: Expected])[] = [
  [
    'openai',
    {
      'x-ratelimit-limit-requests': '60',
      'x-ratelimit-remaining-requests': '59',
      'x-ratelimit-reset-requests': '6m0s',
      'x-ratelimit-limit-tokens': '150000',
      'x-ratelimit-remaining-tokens': '75000',
      'x-ratelimit-reset-tokens': '6m0s',
    },
    { requests: { limit: 60, remaining: 59 }, tokens: { limit: 150_000, remaining: 75_000 }, input_tokens: null },
  ],
  [
    'anthropic',
    {
      'anthropic-ratelimit-requests-limit': '50',
      'anthropic-ratelimit-requests-remaining': '49',
      'anthropic-ratelimit-requests-reset': new Date(soon * 1000).toISOString(),
      'anthropic-ratelimit-input-tokens-limit': '40000',
      'anthropic-ratelimit-input-tokens-remaining': '10000',
      'anthropic-ratelimit-output-tokens-limit': '8000',
      'anthropic-ratelimit-output-tokens-remaining': '4000',
    },
    {
      requests: { limit: 50, remaining: 49 },
      input_tokens: { limit: 40_000, remaining: 10_000 },
      output_tokens: { limit: 8000, remaining: 4000 },
      tokens: null,
    },
  ],
  [
    'openrouter',
    { 'x-ratelimit-limit': '20', 'x-ratelimit-remaining': '5', 'x-ratelimit-reset': String(soon * 1000) },
    { requests: { limit: 20, remaining: 5 }, tokens: null },
  ],
  [
    'groq',
    {
      'x-ratelimit-limit-requests': '14400',
      'x-ratelimit-remaining-requests': '14370',
      'x-ratelimit-reset-requests': '2m59.56s',
      'x-ratelimit-limit-tokens': '18000',
      'x-ratelimit-remaining-tokens': '9000',
      'x-ratelimit-reset-tokens': '370s',
    },
    { requests: { limit: 14_400, remaining: 14_370 }, tokens: { limit: 18_000, remaining: 9000 } },
  ],
  [
    'mistral',
    {
      'x-ratelimit-limit-req-minute': '60',
      'x-ratelimit-remaining-req-minute': '30',
      'x-ratelimit-limit-tokens-minute': '500000',
      'x-ratelimit-remaining-tokens-minute': '250000',
    },
    { requests: { limit: 60, remaining: 30 }, tokens: { limit: 500_000, remaining: 250_000 } },
  ],
  [
    'xai',
    {
      'x-ratelimit-limit-requests': '480',
      'x-ratelimit-remaining-requests': '470',
      'x-ratelimit-reset-requests': String(soon),
    },
    { requests: { limit: 480, remaining: 470 } },
  ],
  [
    'cerebras',
    {
      'x-ratelimit-limit-requests-day': '14400',
      'x-ratelimit-remaining-requests-day': '100',
      'x-ratelimit-reset-requests-day': '33011.382867',
      'x-ratelimit-limit-tokens-minute': '60000',
      'x-ratelimit-remaining-tokens-minute': '30000',
      'x-ratelimit-reset-tokens-minute': '40.5',
    },
    { requests: { limit: 14_400, remaining: 100 }, tokens: { limit: 60_000, remaining: 30_000 } },
  ],
  [
    'together',
    {
      'x-ratelimit-limit': '10',
      'x-ratelimit-remaining': '9',
      'x-ratelimit-reset': '60',
      'x-tokenlimit-limit': '3000',
      'x-tokenlimit-remaining': '1500',
    },
    { requests: { limit: 10, remaining: 9 }, tokens: { limit: 3000, remaining: 1500 } },
  ],
  [
    'fireworks',
    { 'x-ratelimit-limit-tokens-prompt': '60000', 'x-ratelimit-limit-tokens-generated': '6000' },
    { input_tokens: { limit: 60_000 }, output_tokens: { limit: 6000 }, tokens: null, requests: null },
  ],
  [
    'cohere',
    { 'x-trial-endpoint-call-limit': '40', 'x-trial-endpoint-call-remaining': '39' },
    { requests: { limit: 40, remaining: 39 }, tokens: null },
  ],
  [
    'azure',
    {
      'x-ratelimit-limit-tokens': '1000',
      'x-ratelimit-remaining-tokens': '100',
      'x-ratelimit-reset-tokens': '59',
    },
    { tokens: { limit: 1000, remaining: 100 } },
  ],
  [
    'github',
    {
      'x-ratelimit-limit-requests': '15',
      'x-ratelimit-remaining-requests': '14',
      'x-ratelimit-renewalperiod-requests': '60',
      'x-ratelimit-timeremaining': '30',
    },
    { requests: { limit: 15, remaining: 14 } },
  ],
  // These report none.
  ...['google', 'deepseek', 'huggingface', 'nvidia', 'zai'].map((name): readonly [string, HeaderFields, Expected] => [
    name,
    {},
    { requests: null, tokens: null },
  ]),
];

describe('the limit headers of', () => {
  let upstream: LoopbackProvider;
  let running: TestDaemon;
  let aipass: Aipass;
  beforeAll(async () => {
    upstream = await startLoopbackProvider();
    const origin = new URL(upstream.baseUrl).origin;
    const providers = Object.fromEntries(
      CASES.map(([name]) => [
        name,
        {
          baseUrl: `${origin}/${name}`,
          modelsUrl: `${origin}/${name}/models`,
          keyCheck: { url: `${origin}/${name}/key` },
        },
      ]),
    );
    for (const [name, headers] of CASES) {
      upstream.route(`/${name}/key`, { kind: 'json', body: { data: {} } });
      upstream.route(`/${name}/models`, { kind: 'json', body: { data: [{ id: 'm' }] }, headers });
    }
    running = await createTestDaemon({ providers });
    aipass = await running.connect();
  });
  afterAll(async () => {
    await running[Symbol.asyncDispose]();
    await upstream.close();
  });

  it.each(CASES)('%s come through usage', async (provider, headers, expected) => {
    const created = await aipass.credentials.create({
      provider,
      account_key: 'limits',
      api_key: `limits-0123456789-${provider}`,
    });
    const usage = await aipass.credentials.usage(created.id);
    expect(usage).toMatchObject({ reachable: true, error: null, ...expected });
    const names = Object.keys(headers).toSorted();
    expect(usage.debug_rate_limit_headers ?? []).toEqual(names);
    for (const window of [usage.requests, usage.tokens, usage.input_tokens]) {
      if (window === null || window.reset_at === null) continue;
      expect(Date.parse(window.reset_at)).toBeGreaterThan(Date.now() - 1000);
    }
  });
});
