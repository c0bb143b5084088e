import { describe, expect, test } from 'vitest';
import type { LeaseOutcome } from '../../../src/pools/lease.ts';
import { judge, MAX_DAILY_REST_MS, MAX_REST_MS, type Verdict } from '../../../src/pools/verdict.ts';
import { refused } from '../../support/pool-fixture.ts';

const NOW = Date.parse('2026-06-15T12:00:10Z');
const HOUR = 3_600_000;

function verdict(outcome: LeaseOutcome, provider = 'openai', model = 'm'): Verdict {
  return judge(outcome, provider, model, NOW);
}

/** Returns the sentence of a refusal, which has to be a limit. */
function sentence(status: number, headers: Record<string, string>, body: unknown = null, provider = 'openai') {
  const result = verdict(refused(status, headers, body), provider);
  if (result.kind !== 'limited') throw new Error(`expected a limit, got ${result.kind}`);
  return result.sentence;
}

describe('who is blamed', () => {
  test.each([400, 404, 405, 409, 410, 413, 415, 422, 451])('by a %i is nobody', (status) => {
    expect(verdict(refused(status, { 'retry-after': '60' }))).toEqual({ kind: 'unblamed' });
  });

  test.each([408, 500, 502, 503, 504, 529, 599])('by a %i is the provider, not the key', (status) => {
    expect(verdict(refused(status))).toEqual({ kind: 'provider-failed' });
  });

  test.each(['network', 'timeout', 'garbage'] as const)('by an unavailable provider (%s) is the provider', (reason) => {
    expect(verdict({ kind: 'unavailable', reason })).toEqual({ kind: 'provider-failed' });
  });

  test.each([401, 403])('by a %i is the key alone', (status) => {
    expect(verdict(refused(status))).toEqual({ kind: 'rejected', status });
  });

  test('by a 403 that is a page for people is who put it there, not the key', () => {
    expect(verdict(refused(403, { 'content-type': 'text/html; charset=UTF-8' }))).toEqual({ kind: 'provider-failed' });
    expect(verdict(refused(403, { 'content-type': 'application/json' }))).toEqual({ kind: 'rejected', status: 403 });
  });

  test('by a call that its caller ended is nobody', () => {
    expect(verdict({ kind: 'cancelled' })).toEqual({ kind: 'unblamed' });
  });

  test('by a success is nobody: it serves', () => {
    expect(verdict({ kind: 'succeeded' })).toEqual({ kind: 'served' });
  });

  test('by a 413 that calls itself a rate limit (Groq) is nobody: the request is too big', () => {
    expect(verdict(refused(413, {}, { error: { code: 'rate_limit_exceeded' } }), 'groq')).toEqual({ kind: 'unblamed' });
  });

  test('by a 400 that says the key is wrong (xAI, Gemini) is the key', () => {
    expect(verdict(refused(400, {}, { code: 'x', error: 'Incorrect API key provided: xa***' }), 'xai')).toEqual({
      kind: 'rejected',
      status: 400,
    });
    const gemini = { error: { code: 400, details: [{ reason: 'API_KEY_INVALID' }] } };
    expect(verdict(refused(400, {}, gemini), 'google')).toEqual({ kind: 'rejected', status: 400 });
    expect(verdict(refused(400, {}, { error: 'model is wrong' }), 'xai')).toEqual({ kind: 'unblamed' });
  });

  test('by an error inside a 200 that does not say more is the provider', () => {
    expect(verdict(refused(200, {}, { error: 'the answer broke off' }), 'openrouter')).toEqual({
      kind: 'provider-failed',
    });
  });

  test('by a moderated prompt (OpenRouter 403) is nobody', () => {
    const body = { error: { code: 403, metadata: { reasons: ['violence'], flagged_input: '…' } } };
    expect(verdict(refused(403, {}, body), 'openrouter')).toEqual({ kind: 'unblamed' });
  });
});

describe('a 429', () => {
  test('rests for the seconds of Retry-After', () => {
    expect(sentence(429, { 'retry-after': '7' })).toMatchObject({
      restMs: 7000,
      source: 'header',
      reason: 'rate-limit',
    });
  });

  test('rests until the date of Retry-After', () => {
    expect(sentence(429, { 'retry-after': 'Mon, 15 Jun 2026 12:00:40 GMT' })).toMatchObject({ restMs: 30_000 });
  });

  test('rests for retry-after-ms, which is more exact', () => {
    expect(sentence(429, { 'retry-after-ms': '1500', 'retry-after': '2' })).toMatchObject({ restMs: 1500 });
  });

  test('prefers Retry-After to a reset header', () => {
    const headers = { 'retry-after': '3', 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '40s' };
    expect(sentence(429, headers)).toMatchObject({ restMs: 3000 });
  });

  test('falls back on the reset header of the used-up window', () => {
    const headers = { 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '1m30s' };
    expect(sentence(429, headers)).toMatchObject({ restMs: 90_000, source: 'header' });
  });

  test.each(['', '0', '-1', 'garbage', 'Mon, 15 Jun 2020 12:00:00 GMT'])(
    'with a Retry-After of "%s" takes the doubling default',
    (value) => {
      expect(sentence(429, { 'retry-after': value })).toMatchObject({ restMs: null, source: 'default' });
    },
  );

  test('never rests for longer than an hour, though it says 18 days', () => {
    expect(sentence(429, { 'retry-after': '1555200' })).toMatchObject({ restMs: MAX_REST_MS, boundMs: MAX_REST_MS });
    expect(sentence(429, { 'retry-after': '9'.repeat(30) })).toMatchObject({ restMs: MAX_REST_MS });
  });

  test('rests until the reset of a known daily window, and no longer than a day', () => {
    const headers = { 'x-ratelimit-remaining-requests-day': '0', 'x-ratelimit-reset-requests-day': '33011.4' };
    expect(sentence(429, { ...headers, 'retry-after': '2' }, null, 'cerebras')).toMatchObject({
      restMs: 33_011_400,
      reason: 'daily-limit',
      boundMs: MAX_DAILY_REST_MS,
    });
    const far = { ...headers, 'x-ratelimit-reset-requests-day': String(20 * 86_400) };
    expect(sentence(429, far, null, 'cerebras')).toMatchObject({ restMs: MAX_DAILY_REST_MS });
  });

  test('of Gemini rests for the RetryInfo of the body, for the model that it names', () => {
    const body = {
      error: {
        code: 429,
        details: [
          {
            '@type': 'type.googleapis.com/google.rpc.QuotaFailure',
            violations: [
              {
                quotaId: 'GenerateRequestsPerMinutePerProjectPerModel',
                quotaDimensions: { model: 'gemini-2.5-pro' },
                quotaValue: '5',
              },
            ],
          },
          { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '26s' },
        ],
      },
    };
    expect(sentence(429, {}, body, 'google')).toMatchObject({ restMs: 26_000, source: 'body', scope: 'account-model' });
    expect(sentence(429, {}, [body], 'google')).toMatchObject({ restMs: 26_000 });
  });

  test('of Gemini for a day is known as one', () => {
    const details = [{ violations: [{ quotaId: 'GenerateRequestsPerDayPerProject' }] }, { retryDelay: '20000s' }];
    expect(sentence(429, {}, { error: { details } }, 'google')).toMatchObject({
      restMs: 20_000_000,
      reason: 'daily-limit',
      scope: 'account',
    });
  });

  test('of OpenRouter reads the headers inside the body', () => {
    const body = {
      error: {
        code: 429,
        message: 'Rate limit exceeded: free-models-per-day',
        metadata: {
          headers: { 'X-RateLimit-Limit': '50', 'X-RateLimit-Remaining': '0', 'X-RateLimit-Reset': NOW + 5 * HOUR },
        },
      },
    };
    expect(sentence(429, {}, body, 'openrouter')).toMatchObject({
      restMs: 5 * HOUR,
      source: 'body',
      reason: 'daily-limit',
      scope: 'account',
    });
  });

  test('of a provider behind OpenRouter rests one model only', () => {
    const body = { error: { code: 429, metadata: { provider_name: 'Chutes', provider_code: 429 } } };
    expect(sentence(429, { 'retry-after': '5' }, body, 'openrouter')).toMatchObject({
      scope: 'account-model',
      restMs: 5000,
    });
  });

  test('of Mistral rests to the end of the minute, for one model', () => {
    expect(sentence(429, { 'x-ratelimit-remaining-req-minute': '0' }, null, 'mistral')).toMatchObject({
      restMs: 50_000,
      scope: 'account-model',
    });
  });

  test('for want of money (insufficient_quota) rests like a 402', () => {
    expect(sentence(429, { 'retry-after': '1' }, { error: { code: 'insufficient_quota' } })).toMatchObject({
      reason: 'no-credit',
      restMs: HOUR,
      thenCheck: true,
    });
  });

  test('without a model rests the key as a whole', () => {
    const result = judge(refused(429, { 'retry-after': '5' }), 'mistral', undefined, NOW);
    expect(result).toMatchObject({ sentence: { scope: 'account' } });
  });
});

/** Returns OpenRouter's body of a 402. */
function openrouter(limitSource: string): unknown {
  return { error: { code: 402, metadata: { limit_source: limitSource } } };
}

describe('a 402', () => {
  test('rests an hour, then a check', () => {
    expect(sentence(402, {})).toMatchObject({ restMs: HOUR, thenCheck: true, reason: 'no-credit', scope: 'account' });
  });

  test('of OpenRouter for too much in flight passes soon', () => {
    expect(
      sentence(402, { 'retry-after': '4' }, openrouter('openrouter_in_flight_budget'), 'openrouter'),
    ).toMatchObject({
      restMs: 4000,
      thenCheck: false,
      reason: 'busy-budget',
    });
    expect(sentence(402, {}, openrouter('openrouter_in_flight_budget'), 'openrouter')).toMatchObject({ restMs: null });
  });

  test('of OpenRouter for the limit of the key is the key alone', () => {
    expect(sentence(402, {}, openrouter('openrouter_key_limit'), 'openrouter')).toMatchObject({
      scope: 'key',
      restMs: HOUR,
    });
  });

  test('of OpenRouter for the credits is the account', () => {
    expect(sentence(402, {}, openrouter('openrouter_credits'), 'openrouter')).toMatchObject({
      scope: 'account',
      thenCheck: true,
    });
  });

  test.each(['toString', '__proto__', ''])('of OpenRouter for "%s" is a plain one', (source) => {
    expect(sentence(402, {}, openrouter(source), 'openrouter')).toMatchObject({
      scope: 'account',
      restMs: HOUR,
      source: 'default',
    });
  });
});

test.each([
  null,
  undefined,
  'text',
  7,
  [],
  [null],
  { error: null },
  { error: [] },
  { error: { details: 'x', metadata: 7 } },
])('a body of %j says nothing and breaks nothing', (body) => {
  for (const provider of ['openai', 'google', 'openrouter', 'xai']) {
    expect(verdict(refused(429, {}, body), provider)).toMatchObject({ kind: 'limited', sentence: { restMs: null } });
  }
});
