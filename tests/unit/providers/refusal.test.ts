import { describe, expect, test } from 'vitest';
import { ExchangeFailure } from '../../../src/providers/http-exchange.ts';
import { classifyFailure } from '../../../src/providers/classify-failure.ts';
import { isTransient } from '../../../src/providers/failure-table.ts';
import { describeFailedExchange, describeRefusal } from '../../../src/providers/refusal.ts';

const context = { provider: 'openai', keyId: 'OPENAI_API_KEY', redact: (text: string) => text };

function refuse(
  status: number,
  body?: unknown,
  headers: Record<string, string> = {},
  keyId: string | null = context.keyId,
): ReturnType<typeof describeRefusal> {
  const refusal = { status, headers, body };
  return describeRefusal(refusal, { ...context, keyId }, classifyFailure(context.provider, refusal, 0));
}

describe('a refusal', () => {
  test.each([400, 401, 402, 403, 404, 405, 409, 410, 413, 415, 422, 451])('with %i is final', (status) => {
    const error = refuse(status, { error: { message: 'No.' } });
    expect(error.code).toBe('PROVIDER_REJECTED');
    expect(error.message).toBe(`openai answered ${status}: No.`);
    expect(error.hint).toBeTruthy();
  });

  test.each([408, 425, 429, 500, 502, 503, 504, 520, 529])('with %i may pass', (status) => {
    expect(isTransient(status)).toBe(true);
    expect(refuse(status).code).toBe('PROVIDER_UNAVAILABLE');
  });

  test('carries the wait that the provider asks for', () => {
    expect(refuse(429, undefined, { 'retry-after': '12' }).retryAfterMs).toBe(12_000);
    expect(refuse(503, undefined, { 'retry-after': '12' }).retryAfterMs).toBe(12_000);
    expect(refuse(429).retryAfterMs).toBeUndefined();
  });

  test('without a reason says so, and tells a web page from silence', () => {
    expect(refuse(500).message).toBe('openai answered 500: no reason given');
    expect(refuse(502, undefined, { 'content-type': 'text/html; charset=utf-8' }).message).toBe(
      'openai answered 502: a web page, no reason',
    );
  });

  test('by a redirect is final and has where to correct the address', () => {
    const error = refuse(307);
    expect(error.code).toBe('PROVIDER_REJECTED');
    expect(error.hint).toContain('providers.openai.baseUrl');
  });

  test('inside a 200 that does not say more may pass', () => {
    const error = refuse(200, { error: { message: 'boom' } });
    expect(error.code).toBe('PROVIDER_UNAVAILABLE');
    expect(error.message).toBe('openai answered 200 with an error: boom');
  });

  test.each([
    [401, undefined, 'OPENAI_API_KEY'],
    [402, undefined, 'add credit'],
    [403, undefined, 'OPENAI_API_KEY'],
    [404, undefined, 'aipassd models'],
    [413, undefined, 'shorten'],
    [422, undefined, 'parameters'],
    [429, undefined, 'another key'],
    [429, { error: { code: 'insufficient_quota' } }, 'add credit'],
    [429, { error: { code: 'x', type: 'insufficient_quota' } }, 'add credit'],
    [500, undefined, 'again'],
  ])('with %i and %j comes with an action', (status, body, words) => {
    expect(refuse(status, body).hint).toContain(words);
  });

  test('of a request without a key asks for one', () => {
    expect(refuse(401, undefined, {}, null).hint).toContain('add a key');
  });
});

describe('an exchange without an answer', () => {
  test.each([
    ['timeout', 'no first byte within 5 ms', 'TIMED_OUT', 'openai sent no first byte within 5 ms'],
    [
      'network',
      'ECONNREFUSED',
      'PROVIDER_UNAVAILABLE',
      'openai cannot be reached: the connection was refused (ECONNREFUSED)',
    ],
    ['network', 'ENOTFOUND', 'PROVIDER_UNAVAILABLE', 'openai cannot be reached: its name is not known (ENOTFOUND)'],
    ['network', 'ECONNRESET', 'PROVIDER_UNAVAILABLE', 'openai broke the connection off (ECONNRESET)'],
    [
      'network',
      'CERT_HAS_EXPIRED',
      'PROVIDER_UNAVAILABLE',
      'openai: the certificate of openai has expired (CERT_HAS_EXPIRED)',
    ],
    ['garbage', 'more than 5 bytes', 'PROVIDER_UNAVAILABLE', 'openai answered with more than 5 bytes'],
    ['unsendable', 'bad key', 'BAD_REQUEST', 'openai: bad key'],
    ['aborted', 'ended by its caller', 'CANCELLED', 'the request to openai was ended by its caller'],
  ] as const)('%s (%s) is %s', (kind, detail, code, message) => {
    const error = describeFailedExchange(new ExchangeFailure(kind, detail), 'openai');
    expect(error.code).toBe(code);
    expect(error.message).toBe(message);
  });

  test.each([
    ['openai', 'api.openai.com', false],
    ['openai', 'proxy.example', true],
    ['my-llm', 'llm.example', true],
  ])('advises to check the configured address of %s at %s: %s', (provider, host, isAdvised) => {
    const { hint } = describeFailedExchange(new ExchangeFailure('network', 'ENOTFOUND', undefined, host), provider);
    expect(hint).toContain('check the network');
    expect(hint?.includes('configuration')).toBe(isAdvised);
  });
});
