import { describe, expect, test } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import { AipassError } from '../../../src/base/errors.ts';
import { Redactor } from '../../../src/base/redactor.ts';
import { Completer } from '../../../src/completions/completer.ts';
import { Forwarder } from '../../../src/completions/forwarder.ts';
import type { KeySettings } from '../../../src/pools/pool-key.ts';
import { Pools } from '../../../src/pools/pools.ts';
import type { CompletionResult } from '../../../src/protocol/completion.ts';
import { createProviders } from '../../../src/providers/registry.ts';
import {
  chunkOf,
  completionOf,
  refusalOf,
  startLoopbackProvider,
  type LoopbackProvider,
  type Reply,
} from '../../support/loopback-provider.ts';
import { entry, keyId } from '../../support/pool-fixture.ts';

/** A completer over a pool of a loopback provider. */
interface FailOver extends AsyncDisposable {
  readonly upstream: LoopbackProvider;
  readonly pools: Pools;
  ask(params?: Readonly<Record<string, unknown>>, signal?: AbortSignal, uid?: number): Promise<CompletionResult>;
  /** Returns the error that a chat fails with. */
  failure(params?: Readonly<Record<string, unknown>>, uid?: number): Promise<AipassError>;
  /** Lists the numbers of the keys that the provider was asked with. */
  asked(): number[];
}

/** Starts one with a number of keys. */
async function start(
  count: number,
  settings: KeySettings = {},
  baseUrl?: string,
  firstKey?: string,
  name = 'acme',
): Promise<FailOver> {
  const upstream = await startLoopbackProvider();
  const keys = Array.from({ length: count }, (_, index) =>
    entry(index + 1, settings, 'r1', index === 0 ? firstKey : undefined),
  );
  const pools = new Pools({
    clock: systemClock,
    random: () => 0,
    emit: () => {},
    onChange: () => {},
    saved: undefined,
    settingsOf: () => ({ needsKey: true }),
    keysOf: () => keys,
    whyNone: () => new AipassError('NOT_FOUND', 'no key'),
  });
  const forwarder = new Forwarder({
    providers: createProviders({
      providers: { [name]: { baseUrl: baseUrl ?? upstream.baseUrl }, spare: { baseUrl: upstream.baseUrl } },
    }),
    keysOf: () => pools,
    redactor: new Redactor(),
    clock: systemClock,
    defaultProvider: name,
    retry: { attempts: 3, backoff: { firstMs: 1, maxMs: 2, jitter: 0 }, random: () => 0 },
    record: () => {},
  });
  const completer = new Completer({ forwarder, defaultProvider: name });
  const ask: FailOver['ask'] = (params = {}, signal = new AbortController().signal, uid = 1000) =>
    completer.complete(
      { model: 'm', messages: [{ role: 'user', content: 'ping' }], ...params },
      { signal, caller: { uid } },
    );
  return {
    upstream,
    pools,
    ask,
    async failure(params, uid) {
      const error: unknown = await ask(params, undefined, uid).catch((failure: unknown) => failure);
      if (error instanceof AipassError) return error;
      throw new Error('the completion did not fail');
    },
    asked: () => upstream.requests.map(({ key = '' }) => Number(key.slice('sk-test-value-'.length))),
    [Symbol.asyncDispose]: async () => {
      pools.stop();
      await upstream.close();
    },
  };
}

/** Refuses some keys, and serves the others. */
function refusing(keys: readonly number[], reply: Reply): (request: { readonly key: string | undefined }) => Reply {
  return ({ key }) => (keys.some((number) => key === `sk-test-value-${number}`) ? reply : completionOf('pong'));
}

describe('a tired key', () => {
  test.each([401, 402, 429])('that is refused with %i gives way to the next one at once', async (status) => {
    await using over = await start(3);
    over.upstream.answerWith(refusing([1, 2], refusalOf(status, 'no', { 'retry-after': '60' })));
    const result = await over.ask({ fallbacks: ['another'] });
    expect(result.keyId).toBe(keyId(3));
    expect(result).not.toHaveProperty('fallback');
    expect(over.asked()).toEqual([1, 2, 3]);
    expect((await over.ask()).keyId).toBe(keyId(3));
  });

  test('that is refused in unknown words is followed by one more, and both serve others as before', async () => {
    await using over = await start(5);
    const error = { message: 'This model is not available in your region', code: 403 };
    over.upstream.answerWith({ kind: 'json', status: 403, body: { error } });
    expect(await over.failure({ model: 'bad' }, 1)).toMatchObject({
      code: 'PROVIDER_REJECTED',
      message: expect.stringContaining('not available in your region'),
    });
    expect(over.asked()).toHaveLength(2);
    for (let request = 0; request < 20; request += 1) await over.failure({ model: 'bad' }, 1);
    expect(new Set(over.pools.describe('acme').keys.map(({ state }) => state))).toEqual(new Set(['ready']));
    over.upstream.answerWith(completionOf('pong'));
    expect((await over.ask({ model: 'good' }, undefined, 2)).content).toBe('pong');
    expect((await over.ask({ model: 'bad' }, undefined, 2)).content).toBe('pong');
  });

  test('that is refused in unknown words gives way to one that is not', async () => {
    await using over = await start(2);
    over.upstream.answerWith(refusing([1], refusalOf(403, 'Request not allowed')));
    expect((await over.ask()).keyId).toBe(keyId(2));
    // It is used last for that model from now on.
    expect((await over.ask()).keyId).toBe(keyId(2));
    expect(over.asked()).toEqual([1, 2, 2]);
  });

  test('that cannot afford one large request stays in use for small ones', async () => {
    await using over = await start(5, {}, undefined, undefined, 'openrouter');
    const message =
      'This request requires more credits, or fewer max_tokens. You requested up to 65536 tokens, but can only afford 4705.';
    over.upstream.answerWith({ kind: 'json', status: 402, body: { error: { message, code: 402 } } });
    expect((await over.failure({ max_tokens: 65_536 }, 1)).message).toContain('can only afford');
    expect(over.asked()).toHaveLength(2);
    over.upstream.answerWith(completionOf('pong'));
    expect((await over.ask({ max_tokens: 5 }, undefined, 2)).content).toBe('pong');
  });

  test('serves a request with a list of models only if it may use each of them', async () => {
    await using over = await start(1, { models: ['m', 'cheap'] });
    expect((await over.ask({ models: ['cheap'] })).content).toBe('pong');
    expect(await over.failure({ models: ['cheap', 'expensive'] })).toMatchObject({
      code: 'POOL_EXHAUSTED',
      message: expect.stringContaining('is only for m, cheap'),
    });
    expect(over.asked()).toHaveLength(1);
  });

  test('is noticed by an error inside a 200, whole or as the first event of a stream', async () => {
    await using over = await start(3);
    const error = { message: 'limited', code: 429 };
    over.upstream.queue({ kind: 'json', body: { error } });
    expect((await over.ask()).keyId).toBe(keyId(2));
    over.upstream.queue({ kind: 'events', events: [{ error }] });
    expect((await over.ask({ stream: true })).content).toBe('pong');
    expect(over.asked()).toEqual([1, 2, 3, 2]);
  });

  test('that cannot even be sent is taken out, and blames neither the provider nor a key that can', async () => {
    await using failOver = await start(2, {}, undefined, 'sk-“quoted”');
    for (let call = 0; call < 6; call += 1) expect((await failOver.ask()).content).toBe('pong');
    expect(new Set(failOver.asked())).toEqual(new Set([2]));
    expect(failOver.pools.describe('acme').keys[0]).toMatchObject({
      state: 'quarantined',
      reason: expect.stringContaining('.env'),
    });
    await using alone = await start(1, {}, undefined, 'sk-“quoted”');
    for (let call = 0; call < 6; call += 1) expect((await alone.failure()).code).not.toBe('PROVIDER_UNAVAILABLE');
  });

  test('that may not use a model gives way for that model only', async () => {
    await using failOver = await start(2);
    const error = { message: 'Project `p` does not have access to model `m`', code: 'model_not_found' };
    failOver.upstream.queue({ kind: 'json', status: 403, body: { error } });
    expect((await failOver.ask()).keyId).toBe(keyId(2));
    for (let call = 0; call < 3; call += 1) expect((await failOver.ask()).keyId).toBe(keyId(2));
    expect(failOver.pools.explain('acme', 'm').keys[1]?.why).toContain('it may not use the model');
    expect((await failOver.ask({ model: 'another' })).keyId).toBe(keyId(1));
  });

  test('is one of all: every one is tried once, then the caller hears when the first is back', async () => {
    await using over = await start(5);
    over.upstream.answerWith(({ key }) => refusalOf(429, 'no', { 'retry-after': String(100 + Number(key?.at(-1))) }));
    const error = await over.failure();
    expect(error).toMatchObject({ code: 'POOL_EXHAUSTED', message: expect.stringContaining(keyId(5)) });
    expect(error.retryAfterMs).toBeGreaterThan(100_000);
    expect(error.retryAfterMs).toBeLessThanOrEqual(101_000);
    expect(over.asked()).toEqual([1, 2, 3, 4, 5]);
    expect((await over.failure()).code).toBe('POOL_EXHAUSTED');
    expect(over.asked()).toHaveLength(5);
  });

  test('serves a caller that waits until it is back', async () => {
    await using over = await start(1);
    over.upstream.queue(refusalOf(429, 'no', { 'retry-after-ms': '50' }));
    expect((await over.ask({ maxWaitMs: 5000 })).content).toBe('pong');
  });

  test('ends a wait no later than its caller allowed', async () => {
    await using over = await start(1);
    over.upstream.answerWith(refusalOf(429, 'no', { 'retry-after-ms': '20' }));
    expect((await over.failure({ maxWaitMs: 200 })).code).toBe('POOL_EXHAUSTED');
  });
});

describe('limits of each key', () => {
  test('are kept, and no caller hears of them while there is a key', async () => {
    await using over = await start(4, { quotas: [{ calls: 50, per: 'month', zone: 'UTC' }] });
    const used = new Map<string, number>();
    over.upstream.answerWith(({ key = '' }) => {
      used.set(key, (used.get(key) ?? 0) + 1);
      return (used.get(key) ?? 0) > 50 ? refusalOf(429, 'over') : completionOf('pong');
    });
    const work = async (): Promise<void> => {
      for (let call = 0; call < 20; call += 1) await over.ask();
    };
    await Promise.all(Array.from({ length: 10 }, work));
    expect([...used.values()]).toEqual([50, 50, 50, 50]);
    expect((await over.failure()).code).toBe('POOL_EXHAUSTED');
    expect(over.asked()).toHaveLength(200);
  });
});

describe('a failing provider', () => {
  test.each([500, 502, 503, 529])('is asked again after a %i, and no key is blamed', async (status) => {
    await using over = await start(2);
    over.upstream.queue(refusalOf(status, 'no'), { kind: 'reset' });
    expect((await over.ask()).content).toBe('pong');
    expect(over.pools.describe('acme').keys.map(({ state }) => state)).toEqual(['ready', 'ready']);
  });

  test('is asked again when its stream ends with the reason "error" before it gave anything', async () => {
    await using failOver = await start(1);
    failOver.upstream.queue({ kind: 'events', events: [chunkOf({}, 'error')] });
    expect((await failOver.ask({ stream: true })).content).toBe('pong');
    expect(failOver.asked()).toEqual([1, 1]);
  });

  test('that redirects is asked once, and gives way to a fallback', async () => {
    await using failOver = await start(1);
    failOver.upstream.queue({ kind: 'text', status: 302, headers: { location: 'https://127.0.0.1:9/' }, body: '' });
    expect(await failOver.ask({ fallbacks: [{ provider: 'spare' }] })).toMatchObject({ provider: 'spare' });
    expect(failOver.asked()).toHaveLength(2);
  });

  test('is given up after three times, and not asked for a model after five failed requests', async () => {
    await using over = await start(2);
    over.upstream.answerWith(refusalOf(503, 'no'));
    for (let request = 1; request <= 4; request += 1) {
      expect(await over.failure()).toMatchObject({
        code: 'PROVIDER_UNAVAILABLE',
        message: expect.stringContaining('503'),
      });
      expect(over.asked()).toHaveLength(3 * request);
    }
    await over.failure();
    const asked = over.asked().length;
    expect(await over.failure()).toMatchObject({ code: 'PROVIDER_UNAVAILABLE', retryAfterMs: expect.any(Number) });
    expect(over.asked()).toHaveLength(asked);
  });

  test('is closed by one caller for that caller and its model only', async () => {
    await using over = await start(2);
    over.upstream.answerWith(refusalOf(502, 'Provider returned error'));
    for (let request = 0; request < 10; request += 1) await over.failure({ model: 'bad' }, 1);
    const asked = over.asked().length;
    await over.failure({ model: 'bad' }, 1);
    expect(over.asked()).toHaveLength(asked);
    over.upstream.answerWith(completionOf('pong'));
    expect((await over.ask({ model: 'good' }, undefined, 2)).content).toBe('pong');
    expect((await over.ask({ model: 'bad' }, undefined, 2)).content).toBe('pong');
    // What another caller's call proved holds for the first one too.
    expect((await over.ask({ model: 'bad' }, undefined, 1)).content).toBe('pong');
  });

  test('that asks for more time than a request has is not asked again, and gives way to a fallback', async () => {
    await using over = await start(1);
    over.upstream.queue({ kind: 'json', status: 503, headers: { 'retry-after': '3600' }, body: {} });
    expect(await over.ask({ fallbacks: [{ provider: 'spare' }] })).toMatchObject({ provider: 'spare' });
    expect(over.asked()).toHaveLength(2);
  });

  test('that asks for a moment is asked again after it', async () => {
    await using over = await start(1);
    over.upstream.queue({ kind: 'json', status: 503, headers: { 'retry-after-ms': '20' }, body: {} });
    expect((await over.ask()).content).toBe('pong');
    expect(over.asked()).toHaveLength(2);
  });

  test('gives way to a fallback, of which each is asked once', async () => {
    await using over = await start(1, {}, 'http://127.0.0.1:9/v1');
    const result = await over.ask({ fallbacks: [{ model: 'm' }, { provider: 'spare' }] });
    expect(result).toMatchObject({ content: 'pong', provider: 'spare', fallback: { provider: 'spare', model: 'm' } });
    expect(over.asked()).toHaveLength(1);
  });
});

test.each([400, 404, 413, 422])(
  'a request that is refused with %i is not repeated, nor sent to a fallback',
  async (status) => {
    await using over = await start(3);
    over.upstream.answerWith(refusalOf(status, 'your own mistake'));
    expect(await over.failure({ fallbacks: ['another-model'] })).toMatchObject({ code: 'PROVIDER_REJECTED' });
    expect(over.asked()).toHaveLength(1);
    expect(over.pools.describe('acme').keys.every(({ state }) => state === 'ready')).toBe(true);
  },
);
