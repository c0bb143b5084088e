import { expect, test } from 'vitest';
import { outcomeOf } from '../../../src/pools/reported-outcome.ts';

const NOW = Date.parse('2026-06-15T12:00:00Z');
const REJECTED = { blame: 'key', reason: 'invalid-key', check: 'now' };

test('a report of a success, or of a failure that blames nobody, changes no key', () => {
  expect(outcomeOf({ leaseId: 'x', outcome: 'succeeded' }, 'acme', NOW)).toEqual({ kind: 'succeeded', headers: {} });
  for (const status of [404, 429]) {
    expect(outcomeOf({ leaseId: 'x', outcome: 'failed', status }, 'acme', NOW)).toEqual({ kind: 'cancelled' });
  }
});

test.each([
  [{ outcome: 'unavailable' }, { blame: 'provider' }],
  [
    { outcome: 'unavailable', status: 503 },
    { blame: 'provider', status: 503 },
  ],
  [{ outcome: 'rejected' }, { ...REJECTED, status: 401 }],
  [
    { outcome: 'rejected', status: 403 },
    { ...REJECTED, status: 403 },
  ],
  [
    { outcome: 'rejected', status: 200 },
    { ...REJECTED, status: 401 },
  ],
  [{ outcome: 'limited' }, { reason: 'rate-limit', cooldownMs: null }],
  [
    { outcome: 'limited', status: 403 },
    { reason: 'rate-limit', cooldownMs: null },
  ],
  [{ outcome: 'limited', retryAfterMs: 1500.2 }, { cooldownMs: 1501 }],
  [{ outcome: 'limited', retryAfterMs: 0 }, { cooldownMs: null }],
  [{ outcome: 'limited', headers: { 'Retry-After': '7' } }, { cooldownMs: 7000 }],
  [
    { outcome: 'limited', status: 402 },
    { cooldownMs: 3_600_000, check: 'after-cooldown' },
  ],
  [
    { outcome: 'limited', status: 429, body: { error: { code: 'insufficient_quota' } } },
    { reason: 'no-credit', cooldownMs: 3_600_000 },
  ],
] as const)('a report of %j is classified as %j', (report, failure) => {
  expect(outcomeOf({ leaseId: 'x', ...report }, 'acme', NOW)).toMatchObject({ kind: 'failed', failure });
});

const EMPTY = { error: { message: 'Your credit balance is too low to access the Claude API.' } };
const SPENT = { error: { message: 'Key limit exceeded (daily limit).' } };

test.each([
  ['anthropic', { outcome: 'failed', status: 400, body: EMPTY }, { reason: 'no-credit', cooldownMs: 3_600_000 }],
  ['openrouter', { outcome: 'rejected', status: 403, body: SPENT }, { reason: 'no-credit', blame: 'key' }],
  [
    'acme',
    { outcome: 'rejected', status: 401, body: { error: { code: 'insufficient_quota' } } },
    { reason: 'no-credit' },
  ],
  ['acme', { outcome: 'rejected', status: 403, body: { error: { message: 'x' } } }, REJECTED],
] as const)('of %s a report of %j goes by its words: %j', (provider, report, failure) => {
  expect(outcomeOf({ leaseId: 'x', ...report }, provider, NOW)).toMatchObject({ kind: 'failed', failure });
});

test('words that its program has judged otherwise, or that are about the request alone, change no key', () => {
  const limit = { error: { code: 'insufficient_quota' } };
  for (const [status, body] of [[429, limit], [400, { error: { message: 'model is wrong' } }], [500, limit]] as const) {
    expect(outcomeOf({ leaseId: 'x', outcome: 'failed', status, body }, 'acme', NOW)).toEqual({ kind: 'cancelled' });
  }
}); // prettier-ignore
