import { expect, test } from 'vitest';
import { outcomeOf } from '../../../src/pools/reported-outcome.ts';
import { judge } from '../../../src/pools/verdict.ts';

const NOW = Date.parse('2026-06-15T12:00:00Z');

test.each([
  [{ outcome: 'succeeded' }, { kind: 'served' }],
  [{ outcome: 'failed', status: 404 }, { kind: 'unblamed' }],
  [{ outcome: 'failed', status: 429 }, { kind: 'unblamed' }],
  [{ outcome: 'unavailable' }, { kind: 'provider-failed' }],
  [{ outcome: 'unavailable', status: 503 }, { kind: 'provider-failed' }],
  [{ outcome: 'rejected' }, { kind: 'rejected', status: 401 }],
  [
    { outcome: 'rejected', status: 403 },
    { kind: 'rejected', status: 403 },
  ],
  [
    { outcome: 'rejected', status: 200 },
    { kind: 'rejected', status: 401 },
  ],
  [{ outcome: 'limited' }, { kind: 'limited', sentence: { restMs: null } }],
  [
    { outcome: 'limited', retryAfterMs: 1500.2 },
    { kind: 'limited', sentence: { restMs: 1501 } },
  ],
  [
    { outcome: 'limited', retryAfterMs: 0 },
    { kind: 'limited', sentence: { restMs: null } },
  ],
  [
    { outcome: 'limited', headers: { 'Retry-After': '7' } },
    { kind: 'limited', sentence: { restMs: 7000 } },
  ],
  [
    { outcome: 'limited', status: 402 },
    { kind: 'limited', sentence: { restMs: 3_600_000, thenCheck: true } },
  ],
] as const)('a report of %j is judged as %j', (report, verdict) => {
  expect(judge(outcomeOf({ leaseId: 'x', ...report }), 'acme', undefined, NOW)).toMatchObject(verdict);
});
