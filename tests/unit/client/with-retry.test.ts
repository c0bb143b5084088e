import { get } from 'node:http';
import { describe, expect, it } from 'vitest';
import { AipassError } from '../../../src/base/errors.ts';
import { judgeRetry, retryDelay, withRetry } from '../../../src/client/with-retry.ts';
import { GoogleApi } from '../../support/google-api.ts';

/** Returns a refusal that asks for a wait. */
function limited(retryAfter: string): Error {
  return Object.assign(new Error('x'), {
    response: { status: 429, headers: new Headers({ 'retry-after': retryAfter }) },
  });
}

/** Returns a call that fails so many times. */
function failing(times: number): () => Promise<number> {
  let tries = 0;
  return () => {
    tries += 1;
    return tries <= times
      ? Promise.reject(Object.assign(new Error(`try ${tries}`), { code: 'EPIPE' }))
      : Promise.resolve(tries);
  };
}

const FAST = { minDelayMs: 1, maxDelayMs: 5 };

describe('the judgement of a failure', () => {
  it.each([
    [Object.assign(new Error('x'), { code: 'ECONNRESET' }), 'again'],
    [Object.assign(new Error('x'), { code: 'ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC' }), 'again'],
    [new TypeError('fetch failed', { cause: Object.assign(new Error('x'), { code: 'UND_ERR_SOCKET' }) }), 'again'],
    [Object.assign(new Error('x'), { status: 503 }), 'again'],
    [Object.assign(new Error('x'), { code: '429' }), 'again'],
    [Object.assign(new Error('x'), { response: { status: 502 } }), 'again'],
    [new AipassError('PROVIDER_UNAVAILABLE', 'x'), 'again'],
    [new AipassError('REAUTH_REQUIRED', 'x'), 'final'],
    [Object.assign(new Error('x'), { status: 401 }), 'final'],
    [Object.assign(new Error('x'), { status: 402 }), 'final'],
    [Object.assign(new Error('x'), { code: 'CERT_HAS_EXPIRED' }), 'final'],
    [new TypeError('x is not a function'), 'final'],
    ['a text', 'final'],
    [undefined, 'final'],
  ])('%s is %s', (error, kind) => {
    expect(judgeRetry(error, 0).kind).toBe(kind);
  });

  it('reads Retry-After as seconds and as a date', () => {
    expect(judgeRetry(limited('7'), 0)).toEqual({ kind: 'again', retryAfterMs: 7000 });
    expect(judgeRetry(limited('Thu, 01 Jan 1970 00:00:09 GMT'), 1000)).toEqual({ kind: 'again', retryAfterMs: 8000 });
  });
});

it('the wait doubles with full jitter, honours Retry-After, and has an end', () => {
  expect([1, 2, 3].map((number) => retryDelay(number, undefined, () => 0, {}))).toEqual([1000, 2000, 4000]);
  expect(retryDelay(3, undefined, () => 1, {})).toBe(0);
  expect(retryDelay(1, 5000, () => 1, {})).toBe(5000);
  expect(retryDelay(1, 500_000, () => 1, {})).toBe(60_000);
});

describe('withRetry', () => {
  it('tries again until it succeeds, and gives up with the last failure', async () => {
    expect(await withRetry(failing(2), FAST)).toBe(3);
    await expect(withRetry(failing(9), FAST)).rejects.toThrow('try 4');
  });

  it('does not repeat what cannot be fixed', async () => {
    let tries = 0;
    const refused = (): Promise<never> => {
      tries += 1;
      return Promise.reject(Object.assign(new Error('no'), { status: 403 }));
    };

    await expect(withRetry(refused, FAST)).rejects.toThrow('no');
    expect(tries).toBe(1);
  });

  it('takes a fresh connection for the next try', async () => {
    await using api = await GoogleApi.start();
    const ask = (): Promise<number> =>
      new Promise((resolve, reject) => {
        get(api.rootUrl, (response) => {
          response.resume();
          response.once('end', () => resolve(response.statusCode ?? 0));
        }).once('error', reject);
      });
    // Two idle connections in the shared agent, of which only one breaks.
    await Promise.all([ask(), ask()]);
    api.failures = 1;

    await withRetry(ask, FAST);

    const ports = api.requests.map(({ port }) => port);
    expect(ports).toHaveLength(4);
    expect(ports.slice(0, 3)).not.toContain(ports[3]);
  });

  it('ends when its signal aborts', async () => {
    const abort = new AbortController();
    const work = withRetry(() => Promise.reject(Object.assign(new Error('x'), { code: 'EPIPE' })), {
      minDelayMs: 60_000,
      random: () => 0,
      signal: abort.signal,
    });
    queueMicrotask(() => abort.abort());

    await expect(work).rejects.toThrow('cancelled');
  });
});
