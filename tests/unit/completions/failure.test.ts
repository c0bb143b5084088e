import { describe, expect, test } from 'vitest';
import { AipassError } from '../../../src/base/errors.ts';
import { effectsOf } from '../../../src/completions/failure.ts';
import { ExchangeFailure } from '../../../src/providers/http-exchange.ts';

const context = { provider: 'openrouter', keyId: 'OPENROUTER_API_KEY', redact: (text: string) => text, now: 0 };

function judgeInside(error: unknown): ReturnType<typeof effectsOf> {
  return effectsOf({ status: 200, headers: {}, body: { error } }, context);
}

describe('a refusal', () => {
  test.each([400, 401, 402, 403, 404, 409, 413, 422])('with %i is refused, and the key learns all of it', (status) => {
    const failure = {
      status,
      headers: { 'retry-after': '3' },
      body: { error: { message: 'no' } },
    } as const;
    const verdict = effectsOf(failure, context);
    expect(verdict.error.code).toBe('PROVIDER_REJECTED');
    expect(verdict.settlement).toMatchObject({ kind: 'failed', failure: { status }, headers: failure.headers });
  });

  test.each([408, 429, 500, 503])('with %i is unavailable, and the key learns all of it', (status) => {
    const verdict = effectsOf({ status, headers: { 'retry-after': '3' }, body: undefined }, context);
    expect(verdict.failure.transient).toBe(true);
    expect(verdict.error).toMatchObject({ code: 'PROVIDER_UNAVAILABLE', retryAfterMs: 3000 });
    expect(verdict.settlement).toMatchObject({ kind: 'failed', failure: { status } });
  });

  test('by a redirect is refused, but says nothing of the key', () => {
    const verdict = effectsOf({ status: 308, headers: {}, body: undefined }, context);
    expect(verdict.failure).toMatchObject({ reason: 'redirect', next: 'another-route' });
    expect(verdict.settlement).toMatchObject({ kind: 'failed', failure: { blame: 'provider' } });
  });
});

describe('an error inside a 200', () => {
  test.each([
    [{ message: 'x', code: 402 }, 402, 'PROVIDER_REJECTED'],
    [{ message: 'x', code: 429 }, 429, 'PROVIDER_UNAVAILABLE'],
    [{ message: 'x', code: '403' }, 403, 'PROVIDER_REJECTED'],
    [{ message: 'x', type: 'overloaded_error' }, 529, 'PROVIDER_UNAVAILABLE'],
    [{ message: 'x', type: 'invalid_request_error', code: 'strange' }, 400, 'PROVIDER_REJECTED'],
    [{ message: 'x', code: 'rate_limit_exceeded' }, 429, 'PROVIDER_UNAVAILABLE'],
    [{ message: 'x', code: 'constructor' }, 200, 'PROVIDER_UNAVAILABLE'],
    ['x', 200, 'PROVIDER_UNAVAILABLE'],
  ])('%j stands for %i', (error, status, code) => {
    const verdict = judgeInside(error);
    expect(verdict.error.code).toBe(code);
    expect(verdict.error.message).toContain('x');
    expect(verdict.settlement).toMatchObject({ kind: 'failed', failure: { status } });
  });
});

describe('no answer', () => {
  test.each([
    ['timeout', 'another-route', 'TIMED_OUT', { kind: 'failed', failure: { reason: 'timeout' } }],
    ['network', 'again', 'PROVIDER_UNAVAILABLE', { kind: 'failed', failure: { reason: 'network' } }],
    ['garbage', 'again', 'PROVIDER_UNAVAILABLE', { kind: 'failed', failure: { reason: 'garbage' } }],
    ['unsendable', 'another-route', 'BAD_REQUEST', { kind: 'failed', failure: { blame: 'request' } }],
    ['unsendable-key', 'another-key', 'BAD_REQUEST', { kind: 'failed', failure: { reason: 'unsendable-key' } }],
    ['aborted', 'stop', 'CANCELLED', { kind: 'cancelled' }],
  ] as const)('by %s leads to %s', (exchange, next, code, settlement) => {
    const verdict = effectsOf(new ExchangeFailure(exchange, 'x'), context);
    expect(verdict).toMatchObject({ failure: { next }, error: { code }, settlement });
  });

  test('but garbage is unavailable', () => {
    const verdict = effectsOf(new ExchangeFailure('garbage', 'a web page'), context);
    expect(verdict.error.message).toBe('openrouter answered with a web page');
    expect(verdict.settlement).toMatchObject({ kind: 'failed', failure: { reason: 'garbage' } });
  });
});

function endedBy(reason: unknown): ExchangeFailure {
  return new ExchangeFailure('aborted', 'ended by its caller', reason);
}

test('a cancellation gives the reason of whoever cancelled, where it is one of ours', () => {
  const reason = new AipassError('CANCELLED', 'the daemon stops');
  expect(effectsOf(endedBy(reason), context).error).toBe(reason);
  const other = effectsOf(endedBy(new Error('sk-hidden-12345678')), context);
  expect(other).toMatchObject({ error: { code: 'CANCELLED' }, settlement: { kind: 'cancelled' } });
  expect(other.error.message).not.toContain('hidden');
});
