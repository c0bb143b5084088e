import { expect, it } from 'vitest';
import { AipassError, type ErrorCode } from '../../../src/base/errors.ts';
import { formatError } from '../../../src/gateway/dialect-errors.ts';

const exhausted = new AipassError('POOL_EXHAUSTED', 'no key is free', { hint: 'wait', retryAfterMs: 1500 });
const parsed = (...args: Parameters<typeof formatError>) => JSON.parse(formatError(...args).body);

it('an exhausted pool is a 429 with its recovery, which no SDK repeats, in every dialect', () => {
  for (const shape of ['openai', 'anthropic', 'gemini'] as const) {
    const { status, headers } = formatError(exhausted, shape);
    expect(status).toBe(429);
    expect(headers).toMatchObject({
      'retry-after': '2',
      'x-should-retry': 'false',
      'content-type': 'application/json',
    });
  }
  expect(parsed(exhausted, 'openai').error).toMatchObject({ type: 'rate_limit_error', code: 'pool_exhausted' });
  expect(parsed(exhausted, 'anthropic')).toMatchObject({ type: 'error', error: { type: 'rate_limit_error' } });
  expect(parsed(exhausted, 'gemini').error).toMatchObject({
    code: 429,
    status: 'RESOURCE_EXHAUSTED',
    details: [{ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '2s' }],
  });
});

it('a long recovery is the usage limit at which Codex stops', () => {
  const before = Date.now();
  const { error } = parsed(new AipassError('POOL_EXHAUSTED', 'no key is free', { retryAfterMs: 3_600_000 }), 'openai');
  expect(error).toMatchObject({ type: 'usage_limit_reached', code: 'pool_exhausted' });
  expect(error.resets_at * 1000).toBeGreaterThanOrEqual(before + 3_600_000);
  expect(error.resets_at * 1000).toBeLessThanOrEqual(Date.now() + 3_601_000);
  const overLimit = new AipassError('BAD_REQUEST', 'too many', { retryAfterMs: 3_600_000 });
  expect(parsed(overLimit, 'openai').error.type).toBe('rate_limit_error');
});

it.each([
  ['BAD_REQUEST', 400, 'invalid_request_error', 'INVALID_ARGUMENT'],
  ['NOT_FOUND', 404, 'not_found_error', 'NOT_FOUND'],
  ['FORBIDDEN', 403, 'permission_error', 'PERMISSION_DENIED'],
  ['PROVIDER_UNAVAILABLE', 503, 'api_error', 'UNAVAILABLE'],
  ['TIMED_OUT', 504, 'timeout_error', 'DEADLINE_EXCEEDED'],
  ['CANCELLED', 503, 'api_error', 'UNAVAILABLE'],
  ['INTERNAL', 500, 'api_error', 'INTERNAL'],
] as const)('%s is %i, %s for Anthropic and %s for Google', (code, status, anthropic, google) => {
  const error = new AipassError(code, 'problem', { hint: 'action' });
  expect(formatError(error, 'openai').status).toBe(status);
  expect(parsed(error, 'openai').error).toMatchObject({ message: 'problem (action)', code: code.toLowerCase() });
  expect(parsed(error, 'anthropic').error.type).toBe(anthropic);
  expect(parsed(error, 'gemini').error).toMatchObject({ code: status, status: google });
});

const isLeft = (code: ErrorCode, more = {}): boolean =>
  formatError(new AipassError(code, 'x', more), 'openai').headers['x-should-retry'] === undefined;

it('only what may end in another way is left to be repeated', () => {
  expect(isLeft('PROVIDER_UNAVAILABLE')).toBe(true);
  expect(isLeft('PROVIDER_REJECTED')).toBe(false);
  expect(isLeft('BAD_REQUEST')).toBe(false);
  expect(isLeft('BAD_REQUEST', { retryAfterMs: 100 })).toBe(true);
});

it('a request over a limit of its user is a 429 that may be repeated', () => {
  const error = new AipassError('BAD_REQUEST', 'too many', { retryAfterMs: 100 });
  expect(formatError(error, 'anthropic')).toMatchObject({ status: 429, headers: { 'retry-after': '1' } });
});

it('the management API has the code, the message and the hint apart', () => {
  expect(parsed(exhausted, 'aipassd')).toMatchObject({
    detail: 'no key is free',
    error: { code: 'POOL_EXHAUSTED', message: 'no key is free', hint: 'wait', retryAfterMs: 1500 },
  });
});

it('an error of the management API has its number in the header and the body, another one for each', () => {
  const [first, second] = [formatError(exhausted, 'aipassd'), formatError(exhausted, 'aipassd')];
  expect(first.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
  expect(JSON.parse(first.body)).toMatchObject({ request_id: first.headers['x-request-id'] });
  expect(second.headers['x-request-id']).not.toBe(first.headers['x-request-id']);
  expect(formatError(exhausted, 'openai').headers).not.toHaveProperty('x-request-id');
});
