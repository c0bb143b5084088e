import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, expect, test } from 'vitest';
import type { ProviderConfig } from '../../../src/base/config-schema.ts';
import { AipassError } from '../../../src/base/errors.ts';
import { Secret } from '../../../src/base/secret.ts';
import { askJson, fetchGeneration } from '../../../src/providers/http.ts';
import { checkKey } from '../../../src/providers/key-check.ts';
import { fetchModels } from '../../../src/providers/models.ts';
import type { Provider } from '../../../src/providers/provider.ts';
import { createProviders } from '../../../src/providers/registry.ts';
import { refusalOf, startLoopbackProvider, type LoopbackProvider } from '../../support/loopback-provider.ts';
import { portOf } from '../../support/port-of.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const KEY = new Secret('sk-or-v1-canary0123456789canary0123456789');
const never = new AbortController().signal;

/** Describes a built-in provider whose addresses lead to the loopback one. */
function moved(upstream: LoopbackProvider, name: string, more: Partial<ProviderConfig> = {}): Provider {
  return createProviders({ providers: { [name]: { baseUrl: upstream.baseUrl, ...more } } }).get(name);
}

async function errorOf(work: Promise<unknown>): Promise<AipassError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof AipassError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

/**
 * Answers the first request of a connection; resets the connection at its second, after `begin` of
 * an answer.
 */
async function resetsKeptConnections(begin = '') {
  const requests: string[] = [];
  const server = createServer((socket) => {
    let served = 0;
    socket.on('error', () => {});
    socket.on('data', (text) => {
      requests.push(String(text).split(' ', 1)[0] ?? '');
      served += 1;
      if (served === 1) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}');
      else if (begin === '') socket.resetAndDestroy();
      else socket.write(begin, () => socket.resetAndDestroy());
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${portOf(server)}/`,
    requests,
    async [Symbol.asyncDispose]() {
      server.close();
      await once(server, 'close');
    },
  };
}

describe('a connection that was kept, and is reset when it is used again', () => {
  const provider = createProviders({ providers: {} }).get('ollama');

  test('costs a GET nothing: it is asked again on a new one', async () => {
    await using server = await resetsKeptConnections();
    const ask = () => askJson(provider, null, { method: 'GET', url: server.url }, never);
    await ask();
    expect(await ask()).toMatchObject({ status: 200, body: {} });
    expect(server.requests).toEqual(['GET', 'GET', 'GET']);
  });

  test('costs a POST nothing either: not a byte of an answer came', async () => {
    await using server = await resetsKeptConnections();
    const ask = (method: 'GET' | 'POST') => askJson(provider, null, { method, url: server.url }, never);
    await ask('GET');
    expect(await ask('POST')).toMatchObject({ status: 200, body: {} });
    expect(server.requests).toEqual(['GET', 'POST', 'POST']);
  });

  test('fails a GET, too, once a byte of its answer has come', async () => {
    await using server = await resetsKeptConnections('HTTP/1.1 20');
    const ask = () => askJson(provider, null, { method: 'GET', url: server.url }, never);
    await ask();
    expect((await errorOf(ask())).code).toBe('PROVIDER_UNAVAILABLE');
    expect(server.requests).toEqual(['GET', 'GET']);
  });
});

describe('checking a key', () => {
  test('that has the shape of another provider’s keys asks nobody', async () => {
    await using upstream = await startLoopbackProvider();
    const key = new Secret(`sk-ant-api03-${'a'.repeat(93)}AA`);
    expect(await checkKey(moved(upstream, 'openai'), key, never)).toMatchObject({
      kind: 'unknown',
      reason: expect.stringContaining('a key of anthropic'),
    });
    expect(upstream.requests).toEqual([]);
  });

  test('of openrouter asks GET /key with the key, and never the public model list', async () => {
    await using upstream = await startLoopbackProvider();
    expect(await checkKey(moved(upstream, 'openrouter'), KEY, never)).toEqual({ kind: 'valid' });
    const [request] = upstream.requests;
    expect(`${request?.method} ${request?.path}`).toBe('GET /v1/key');
    expect(request?.headers).toMatchObject({ authorization: `Bearer ${KEY.reveal()}` });
    expect(upstream.requests).toHaveLength(1);
  });

  test('that the provider refuses is invalid, with status and a reason that does not echo it', async () => {
    await using upstream = await startLoopbackProvider();
    upstream.route('/v1/key', refusalOf(401, `User not found: ${KEY.reveal()}`));
    const verdict = await checkKey(moved(upstream, 'openrouter'), KEY, never);
    expect(verdict).toEqual({
      kind: 'invalid',
      status: 401,
      reason: 'openrouter answered 401: User not found: [secret] (test_error)',
    });
  });

  test('of anthropic goes with its own headers', async () => {
    await using upstream = await startLoopbackProvider();
    expect((await checkKey(moved(upstream, 'anthropic'), KEY, never)).kind).toBe('valid');
    const headers = upstream.requests[0]?.headers;
    expect(headers).toMatchObject({ 'x-api-key': KEY.reveal(), 'anthropic-version': '2023-06-01' });
    expect(headers).not.toHaveProperty('authorization');
  });

  test('of cohere posts nothing and believes the document, not the status', async () => {
    await using upstream = await startLoopbackProvider();
    upstream.route('/v1/check-api-key', { kind: 'json', body: { valid: false } });
    const verdict = await checkKey(moved(upstream, 'cohere'), KEY, never);
    expect(verdict).toMatchObject({ kind: 'invalid', status: 200 });
    expect(upstream.requests[0]).toMatchObject({ method: 'POST', text: '' });
  });

  test('of ollama or perplexity proves nothing and asks nobody', async () => {
    await using upstream = await startLoopbackProvider();
    for (const name of ['ollama', 'perplexity']) {
      expect((await checkKey(moved(upstream, name), KEY, never)).kind).toBe('unknown');
    }
    expect(upstream.requests).toEqual([]);
  });

  test.each([
    ['a failure', refusalOf(500, 'oops')],
    ['a limit', refusalOf(429, 'slow down')],
    ['a web page', { kind: 'text', body: '<html>' }],
    ['nothing', { kind: 'text', body: '' }],
    ['a redirect', { kind: 'json', status: 302, body: {}, headers: { location: 'http://127.0.0.1:9/' } }],
    ['a reset', { kind: 'reset' }],
  ] as const)('that is answered with %s is unknown', async (_what, reply) => {
    await using upstream = await startLoopbackProvider();
    upstream.route('/v1/key', reply);
    const verdict = await checkKey(moved(upstream, 'openrouter'), KEY, never);
    expect(verdict.kind).toBe('unknown');
    expect(verdict).toHaveProperty('reason', expect.stringMatching(/./));
  });

  test('that is cancelled throws', async () => {
    await using upstream = await startLoopbackProvider();
    upstream.route('/v1/key', { kind: 'stall', after: 'nothing' });
    const controller = new AbortController();
    const failing = errorOf(checkKey(moved(upstream, 'openrouter'), KEY, controller.signal));
    await upstream.nextRequest();
    controller.abort();
    expect((await failing).code).toBe('CANCELLED');
  });

  test('takes 30 seconds at most, however the answer trickles', async () => {
    await using upstream = await startLoopbackProvider();
    upstream.route('/v1/key', { kind: 'paced' });
    const clock = new ManualClock();
    const checking = checkKey(moved(upstream, 'openrouter'), KEY, never, clock);
    const { stream, closedByClient } = await upstream.nextRequest();
    await stream.raw(' ');
    clock.advance(29_999);
    expect(clock.waits.length).toBeGreaterThan(0);
    clock.advance(1);
    expect(await checking).toEqual({ kind: 'unknown', reason: expect.stringContaining('30000 ms') });
    await closedByClient;
  });
});

describe('fetching models', () => {
  test('returns the list, and needs no key where it is public', async () => {
    await using upstream = await startLoopbackProvider();
    const models = await fetchModels(moved(upstream, 'openrouter'), null, never);
    expect(models).toEqual([{ id: 'test/small' }, { id: 'test/large' }]);
    expect(upstream.requests[0]?.headers).not.toHaveProperty('authorization');
  });

  test('follows the pages of Anthropic', async () => {
    await using upstream = await startLoopbackProvider();
    upstream.route('/v1/models', (request) => {
      const after = new URL(request.path, 'http://x').searchParams.get('after_id');
      const number = after === null ? 1 : Number(after) + 1;
      return { kind: 'json', body: { data: [{ id: String(number) }], has_more: number < 3, last_id: String(number) } };
    });
    const models = await fetchModels(moved(upstream, 'anthropic'), KEY, never);
    expect(models.map((model) => model.id)).toEqual(['1', '2', '3']);
    expect(upstream.requests.map((request) => request.path)).toEqual([
      '/v1/models?limit=1000',
      '/v1/models?limit=1000&after_id=1',
      '/v1/models?limit=1000&after_id=2',
    ]);
  });

  test('ends where a server sends its first page for ever', async () => {
    await using upstream = await startLoopbackProvider();
    upstream.route('/v1/models', { kind: 'json', body: { data: [{ id: 'a' }], has_more: true, last_id: 'a' } });
    expect(await fetchModels(moved(upstream, 'openai'), KEY, never)).toEqual([{ id: 'a' }]);
    expect(upstream.requests).toHaveLength(2);
  });

  test('returns the configured ones where a provider lists none', async () => {
    await using upstream = await startLoopbackProvider();
    const provider = moved(upstream, 'openai', { modelsUrl: null, models: ['one', 'two'] });
    expect(await fetchModels(provider, KEY, never)).toEqual([{ id: 'one' }, { id: 'two' }]);
    expect(upstream.requests).toEqual([]);
    const none = moved(upstream, 'openai', { modelsUrl: null });
    expect((await errorOf(fetchModels(none, KEY, never))).code).toBe('NOT_FOUND');
  });

  test.each([
    [
      'a refusal',
      refusalOf(401, 'Incorrect API key: sk-or-v1-canary0123456789canary0123456789'),
      'PROVIDER_REJECTED',
      'answered 401',
    ],
    ['a failure', refusalOf(503, 'down'), 'PROVIDER_UNAVAILABLE', 'answered 503: down'],
    ['a web page', { kind: 'text', body: '<html>' }, 'PROVIDER_UNAVAILABLE', 'a model list that is not JSON'],
    ['nothing', { kind: 'text', body: '' }, 'PROVIDER_UNAVAILABLE', 'a model list that is not JSON'],
    ['another document', { kind: 'json', body: { hello: 1 } }, 'PROVIDER_UNAVAILABLE', 'JSON that is not a model list'],
    ['a redirect', { kind: 'json', status: 301, body: {} }, 'PROVIDER_REJECTED', 'a redirect'],
    ['a reset', { kind: 'reset' }, 'PROVIDER_UNAVAILABLE', 'ECONNRESET'],
    [
      '17 MiB',
      { kind: 'text', body: ' '.repeat(17 * 1024 * 1024) },
      'PROVIDER_UNAVAILABLE',
      'more than 16777216 bytes',
    ],
  ] as const)('fails clearly on %s', async (_what, reply, code, words) => {
    await using upstream = await startLoopbackProvider();
    upstream.route('/v1/models', reply);
    const error = await errorOf(fetchModels(moved(upstream, 'openai'), KEY, never));
    expect(error.code).toBe(code);
    expect(error.message).toContain(words);
    expect(error.message).not.toContain('canary');
    expect(error.hint).toBeTruthy();
  });
});

describe("asking for a generation's record", () => {
  test('sends its id, the key and the configured headers to the address of the provider', async () => {
    await using upstream = await startLoopbackProvider();
    upstream.route('/v1/generation', { kind: 'json', body: { data: { total_cost: 1 } } });
    const provider = moved(upstream, 'openrouter', { headers: { 'x-title': 'mine' } });
    const answer = await fetchGeneration(provider, KEY, 'gen-1&id=2/../é', never);
    expect(answer).toMatchObject({ status: 200, body: { data: { total_cost: 1 } } });
    const [request] = upstream.requests;
    expect(new URL(request?.path ?? '', upstream.baseUrl).searchParams.getAll('id')).toEqual(['gen-1&id=2/../é']);
    expect(request?.headers).toMatchObject({ authorization: `Bearer ${KEY.reveal()}`, 'x-title': 'mine' });
  });

  test('follows no redirect with the key', async () => {
    await using elsewhere = await startLoopbackProvider();
    await using upstream = await startLoopbackProvider();
    const headers = { location: `${elsewhere.baseUrl}/generation` };
    upstream.route('/v1/generation', { kind: 'json', status: 302, headers, body: {} });
    expect((await fetchGeneration(moved(upstream, 'openrouter'), KEY, 'gen-1', never)).status).toBe(302);
    expect(elsewhere.requests).toEqual([]);
  });
});
