import type { ServerResponse } from 'node:http';
import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { AipassError } from '../../../src/base/errors.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { until } from '../../support/until.ts';
import { eventOf, events, json, keyOf, Received, startForward } from './forward-fixture.ts';

const USAGE = { prompt_tokens: 11, completion_tokens: 5, total_tokens: 16 };
const choice = (delta: object, finish: string | null = null): object => ({
  id: 'chatcmpl-1',
  model: 'm-2026',
  choices: [{ index: 0, delta, finish_reason: finish }],
});
const STREAM =
  eventOf(choice({ role: 'assistant', content: '' })) +
  eventOf(choice({ content: 'Hello' })) +
  eventOf(choice({}, 'stop'));
const USAGE_EVENT = eventOf({ id: 'chatcmpl-1', choices: [], usage: USAGE });
const DONE = 'data: [DONE]\n\n';

/** Returns an event of one choice of several. */
const choiceOf = (index: number, delta: object, finish: string | null = null): string =>
  eventOf({ id: 'c', choices: [{ index, delta, finish_reason: finish }] });

test('an answer holds nothing for browsers', async () => {
  await using fixture = await startForward();
  const fields = { 'access-control-allow-origin': '*', 'set-cookie': 'a=b', 'strict-transport-security': 'max-age=1' };
  fixture.answerWith(json({}, 200, { ...fields, 'x-request-id': 'r' }));
  const { sink } = await fixture.forward();
  expect(sink.headers).toHaveProperty('x-request-id', 'r');
  for (const name of Object.keys(fields)) expect(sink.headers).not.toHaveProperty(name);
});

describe('a forwarded request', () => {
  test('takes no token of a gateway along, in whatever field or parameter it stands', async () => {
    await using fixture = await startForward();
    fixture.answerWith(json({ data: [] }));
    const token = `aip-${'a1-_'.repeat(11).slice(0, 43)}`;
    await fixture.forward({
      method: 'GET',
      path: '/files',
      query: `?api_key=${token}&a=aip-x&b=%61ip-${token.slice(4)}&c=%zz%2561ip-${token.slice(4)}`,
      body: null,
      headers: {
        'x-litellm-api-key': token,
        'x-auth': `Token ${token}`,
        'x-short': 'aip-x',
        'x-list': [token, 'b'],
        'x-encoded': encodeURIComponent(token).replace('a', '%61'),
        'x-basic': `Basic ${Buffer.from(`u:${token}`).toString('base64')}`,
        [`x-${token.toLowerCase()}`]: '1',
      },
    });
    const [request] = fixture.arrived;
    expect(request?.url).toBe('/v1/files?a=aip-x');
    expect(request?.headers).toHaveProperty('x-short', 'aip-x');
    expect(JSON.stringify(request?.headers).toLowerCase()).not.toContain(token.slice(4).toLowerCase());
    expect(request?.headers).not.toHaveProperty('x-basic');
  });

  test('has the pool key and no other credential, and all else as the client sent it', async () => {
    await using fixture = await startForward();
    fixture.answerWith(json({ data: [] }));
    const { outcome } = await fixture.forward({
      method: 'DELETE',
      path: '/files/a%2Fb',
      query: '?limit=2&key=AIzaClient&x=%20',
      body: null,
      headers: {
        authorization: 'Bearer client-token',
        'x-api-key': 'client-token',
        'x-goog-api-key': 'client-token',
        cookie: 'a=client-token',
        host: 'aipassd',
        connection: 'keep-alive, x-hop',
        'x-hop': '1',
        'accept-encoding': 'gzip, br',
        'proxy-authorization': 'Basic client-token',
        te: 'trailers',
        'anthropic-beta': 'a,b',
        'openai-beta': 'c',
        'user-agent': 'Client/1',
        'x-stainless-retry-count': '0',
      },
    });
    expect(outcome).toEqual({ kind: 'answered', status: 200, provider: 'acme', keyId: 'ACME_API_KEY_1' });
    const [request] = fixture.arrived;
    expect(request).toMatchObject({ method: 'DELETE', url: '/v1/files/a%2Fb?limit=2&x=%20' });
    expect(request?.headers).toMatchObject({
      authorization: `Bearer ${keyOf(1)}`,
      'accept-encoding': 'identity',
      'anthropic-beta': 'a,b',
      'openai-beta': 'c',
      'user-agent': 'Client/1',
      'x-stainless-retry-count': '0',
    });
    expect(JSON.stringify(request?.headers)).not.toContain('client-token');
    for (const name of ['x-hop', 'te', 'cookie', 'x-api-key', 'proxy-authorization']) {
      expect(request?.headers).not.toHaveProperty(name);
    }
  });

  test('goes to the endpoint of its dialect, with the key in the header of that', async () => {
    await using fixture = await startForward();
    await fixture.forward({ dialect: 'gemini', path: '/v1beta/models/g:generateContent' });
    await fixture.forward({ dialect: 'anthropic', path: '/v1/messages' });
    expect(fixture.arrived[0]).toMatchObject({ url: '/v1beta/models/g:generateContent' });
    expect(fixture.arrived[0]?.headers).toMatchObject({ 'x-goog-api-key': keyOf(1) });
    expect(fixture.arrived[0]?.headers).not.toHaveProperty('authorization');
    expect(fixture.arrived[1]).toMatchObject({ url: '/v1/messages' });
    expect(fixture.arrived[1]?.headers).toMatchObject({ 'x-api-key': keyOf(1) });
  });

  test('in a dialect that its provider does not speak is not sent', async () => {
    await using fixture = await startForward();
    const { outcome } = await fixture.forward({ provider: 'spare', dialect: 'gemini', path: '/v1beta/models' });
    expect(outcome).toMatchObject({ kind: 'failed', begun: false, error: { code: 'BAD_REQUEST' } });
    expect(fixture.arrived).toEqual([]);
  });

  test('keeps the bytes of a form, and the model in it is recorded', async () => {
    await using fixture = await startForward();
    const form = Buffer.concat([
      Buffer.from('--B\r\ncontent-disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--B\r\n'),
      Buffer.from('content-disposition: form-data; name="file"; filename="a"\r\n\r\n'),
      Buffer.from([0, 255, 13, 10, 128, 1]),
      Buffer.from('\r\n--B--\r\n'),
    ]);
    fixture.answerWith(json({ text: 'hi', usage: { type: 'tokens', input_tokens: 14, output_tokens: 4 } }));
    await fixture.forward({
      path: '/audio/transcriptions',
      headers: { 'content-type': 'multipart/form-data; boundary=B' },
      body: form,
    });
    expect(fixture.arrived[0]?.body.equals(form)).toBe(true);
    expect(fixture.arrived[0]?.headers).toMatchObject({ 'content-type': 'multipart/form-data; boundary=B' });
    expect(fixture.recorded).toMatchObject([
      { operation: 'audio.create', model: 'whisper-1', promptTokens: 14, completionTokens: 4 },
    ]);
  });

  test('of HEAD is answered with a head alone', async () => {
    await using fixture = await startForward();
    fixture.answerWith((response) => response.writeHead(200, { 'content-length': '10', 'x-a': 'b' }).end());
    const { outcome, sink } = await fixture.forward({ method: 'HEAD', path: '/models', body: null });
    expect(outcome.kind).toBe('answered');
    expect(sink).toMatchObject({ status: 200, state: 'ended', chunks: [] });
    expect(sink.headers).toMatchObject({ 'x-a': 'b', 'content-length': '10' });
  });
});

describe('an answer', () => {
  test('is passed on byte by byte, with its headers but those of the connection', async () => {
    await using fixture = await startForward();
    const body = Buffer.from([0xff, 0xfb, 0, 1, 2, 3]);
    fixture.answerWith((response) => {
      response.writeHead(201, {
        'content-type': 'audio/mpeg',
        'x-request-id': 'r1',
        'set-cookie': 'a=b',
        'alt-svc': 'h3',
        'keep-alive': 'timeout=5',
      });
      response.end(body);
    });
    const { sink } = await fixture.forward({ path: '/audio/speech' });
    expect(sink).toMatchObject({ status: 201, state: 'ended' });
    expect(sink.bytes.equals(body)).toBe(true);
    expect(sink.headers).toMatchObject({ 'content-type': 'audio/mpeg', 'x-request-id': 'r1' });
    for (const name of ['set-cookie', 'alt-svc', 'keep-alive', 'connection', 'transfer-encoding']) {
      expect(sink.headers).not.toHaveProperty(name);
    }
    expect(fixture.recorded[0]?.promptTokens).toBeUndefined();
  });

  test.each([
    ['/audio/speech', 'audio/pcm', [0x3c, 0x00, 0xff]],
    ['/audio/speech', 'audio/pcm', [0x7b, 0x00, 0xff]],
    ['/audio/speech', 'application/octet-stream', [0x5b, 0x20]],
    ['/audio/transcriptions', 'text/plain; charset=utf-8', [...Buffer.from('[Music] {laughs')]],
    ['/audio/transcriptions', 'text/vtt', [...Buffer.from('data: is what they said')]],
    ['/images/generations', 'image/svg+xml', [...Buffer.from('<svg/>')]],
  ])('%s of type %s is passed on whatever its first byte is', async (path, type, bytes) => {
    await using fixture = await startForward();
    fixture.answerWith((response) => {
      response.writeHead(200, { 'content-type': type });
      response.end(Buffer.from(bytes));
    });
    const { outcome, sink } = await fixture.forward({ path });
    expect(outcome).toMatchObject({ kind: 'answered', status: 200 });
    expect([...sink.bytes]).toEqual(bytes);
    expect(fixture.recorded).toMatchObject([{ status: 'success' }]);
  });

  test.each([
    ['gzip', gzipSync],
    ['gzip, identity', gzipSync],
    ['gzip, br', (text: string) => brotliCompressSync(gzipSync(text))],
    ['zstd', zstdCompressSync],
    ['utf-8', (text: string) => text],
  ])('that is compressed though nobody asked (%s) is passed on as it was before', async (encoding, pack) => {
    await using fixture = await startForward();
    fixture.answerWith((response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': encoding });
      response.end(pack(JSON.stringify({ usage: USAGE })));
    });
    const { sink } = await fixture.forward();
    expect(sink.text).toBe(JSON.stringify({ usage: USAGE }));
    expect(sink.headers).not.toHaveProperty('content-encoding');
    expect(fixture.recorded).toMatchObject([{ promptTokens: 11 }]);
  });

  test.each([
    ['a chat', 'openai', '/chat/completions', 'application/json', ''],
    ['a streamed chat', 'openai', '/chat/completions', 'text/event-stream', ''],
    ['a streamed chat, with keep-alives', 'openai', '/chat/completions', 'text/event-stream', ': busy\n\n'],
    ['messages', 'anthropic', '/v1/messages', 'text/event-stream', '\n'],
    ['a stream of Gemini', 'gemini', '/v1beta/models/g:streamGenerateContent', 'text/event-stream', ': busy\n\n'],
    ['embeddings', 'openai', '/embeddings', 'application/json', ''],
  ] as const)('with status 200 and nothing in it is not one: %s', async (_what, dialect, path, type, text) => {
    await using fixture = await startForward();
    fixture.answerWith((response) => response.writeHead(200, { 'content-type': type }).end(text));
    const { outcome, sink } = await fixture.forward({ dialect, path });
    expect(outcome).toMatchObject({ kind: 'failed', begun: false, error: { code: 'PROVIDER_UNAVAILABLE' } });
    expect(sink.state).toBe('open');
    expect(fixture.recorded).toMatchObject([{ status: 'failed' }]);
  });

  test.each([200, 400])('with %i whose headers quote the key comes without those', async (status) => {
    await using fixture = await startForward();
    fixture.answerWith((response, { headers }) => {
      response.writeHead(status, { 'content-type': 'application/json', 'x-echo': headers.authorization, 'x-id': '1' });
      response.end('{"error":null}');
    });
    const { sink } = await fixture.forward();
    expect(sink).toMatchObject({ status, headers: { 'content-type': 'application/json', 'x-id': '1' } });
    expect(JSON.stringify(sink.headers)).not.toContain('sk-canary');
  });

  test('with 400 comes without the fields that quote a key in part or encoded', async () => {
    await using fixture = await startForward();
    const key = keyOf(1);
    const fields = {
      'x-echo': Buffer.from(key).toString('base64'),
      'x-url': key.replaceAll(/./g, (char) => `%${char.charCodeAt(0).toString(16)}`),
      'www-authenticate': `Bearer realm="${key.slice(0, 30)}"`,
      [`x-${key}`]: '1',
    };
    // One that the client sent itself tells it nothing; one that only looks like a key is none.
    const sent = `x-${key.slice(0, 24)}`;
    const others = { 'x-id': '1', link: '<https://example.org/sk-learn-documentation>', [sent]: '1' };
    fixture.answerWith(json({ error: null }, 400, { ...fields, ...others }));
    const { sink } = await fixture.forward({ headers: { [sent]: 'guess' } });
    expect(Object.keys(sink.headers)).toEqual(expect.arrayContaining(Object.keys(others)));
    for (const name of Object.keys(fields)) expect(Object.keys(sink.headers)).not.toContain(name);
  });

  test('whose names are made of the key is recorded without it', async () => {
    await using fixture = await startForward();
    for (const name of [keyOf(1), keyOf(1).slice(0, 30), Buffer.from(keyOf(1)).toString('base64')]) {
      fixture.answerWith(json({ id: `i-${name}`, model: `m/${name}`, choices: [{ message: { content: 'x' } }] }));
      await fixture.forward();
    }
    expect(fixture.recorded).toHaveLength(3);
    for (const { model, generationId } of fixture.recorded) {
      expect([model, generationId]).toEqual([expect.stringContaining('[secret]'), expect.stringContaining('[secret]')]);
    }
  });

  test('with status 204 has no body', async () => {
    await using fixture = await startForward();
    fixture.answerWith((response) => response.socket?.end('HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n'));
    const { sink } = await fixture.forward({ method: 'DELETE', path: '/files/a', body: null });
    expect(sink).toMatchObject({ status: 204, state: 'ended', chunks: [] });
    expect(sink.headers).not.toHaveProperty('content-length');
  });

  test('comes as it is sent, and waits for a slow client', async () => {
    await using fixture = await startForward();
    let write: ((text: string) => boolean) | undefined;
    let end: (() => void) | undefined;
    fixture.answerWith((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      write = (text) => response.write(text);
      end = () => response.end();
    });
    const sink = new Received();
    let open: (() => void) | undefined;
    sink.room = () =>
      new Promise<void>((resolve) => {
        open = resolve;
      });
    const running = fixture.forward({ path: '/responses' }, { sink });
    await until('the request', () => write !== undefined);
    write?.(eventOf({ type: 'response.output_text.delta', delta: 'first' }));
    await until('the first event', () => open !== undefined);
    // More than all buffers between the two ends hold.
    const flood = eventOf({ type: 'response.output_text.delta', delta: 'x'.repeat(1024 * 1024) });
    let taken = true;
    for (let count = 0; count < 15; count += 1) taken = write?.(flood) ?? true;
    expect(taken).toBe(false);
    expect(sink.chunks).toHaveLength(1);
    sink.room = undefined;
    open?.();
    write?.(eventOf({ type: 'response.completed', response: { id: 'resp_1', usage: { input_tokens: 1 } } }));
    end?.();
    await running;
    expect(sink.state).toBe('ended');
    expect(sink.bytes.length).toBeGreaterThan(15 * 1024 * 1024);
  });

  test.each([
    [STREAM + DONE, 'text/event-stream'],
    [JSON.stringify(choice({})), 'application/json'],
  ])('that is only called a web page is passed on as what it is: %.20s', async (answer, type) => {
    await using fixture = await startForward();
    fixture.answerWith((response) => response.writeHead(200, { 'content-type': 'text/html' }).end(answer));
    const { sink } = await fixture.forward();
    expect(sink).toMatchObject({ status: 200, state: 'ended', text: answer, headers: { 'content-type': type } });
  });

  test.each([
    [502, { 'content-type': 'text/html; charset=UTF-8' }, '<html><h1>Bad gateway</h1>'],
    [404, {}, '\n<!DOCTYPE html><title>nothing here</title>'],
    [503, { 'content-type': 'text/html' }, ''],
  ])('with %i that is a web page is an error of the dialect with its status', async (status, headers, body) => {
    await using fixture = await startForward();
    fixture.answerWith((response) => response.writeHead(status, headers).end(body));
    const { outcome, sink } = await fixture.forward();
    expect(outcome).toMatchObject({ kind: 'failed', begun: false, status });
    expect(outcome.kind === 'failed' && outcome.error.message).not.toContain('<');
    expect(sink.state).toBe('open');
  });

  test('with 400 that is only called a web page is passed on as the document that it is', async () => {
    await using fixture = await startForward();
    const body = JSON.stringify({ error: { message: 'no such parameter' } });
    fixture.answerWith((response) => response.writeHead(400, { 'content-type': 'text/html' }).end(body));
    const { sink } = await fixture.forward();
    expect(sink).toMatchObject({ status: 400, text: body, headers: { 'content-type': 'application/json' } });
  });

  test('that is a web page is never passed on as a success, nor is a redirect', async () => {
    await using fixture = await startForward();
    fixture.answerWith((response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<html>'));
    const page = await fixture.forward({ method: 'GET', path: '/models', body: null });
    expect(page.outcome).toMatchObject({ kind: 'failed', begun: false, error: { code: 'PROVIDER_UNAVAILABLE' } });
    fixture.answerWith((response) => response.writeHead(307, { location: 'http://127.0.0.1:9/' }).end());
    const redirect = await fixture.forward();
    expect(redirect.outcome).toMatchObject({ kind: 'failed', begun: false, error: { code: 'PROVIDER_REJECTED' } });
    expect([page.sink.status, redirect.sink.status]).toEqual([undefined, undefined]);
    expect(fixture.arrived).toHaveLength(2);
  });
});

const gemini = (text: string, more: object = {}): object => ({
  candidates: [{ content: { parts: [{ text }] } }],
  usageMetadata: { promptTokenCount: 11, candidatesTokenCount: text.length, thoughtsTokenCount: 2, ...more },
  modelVersion: 'gemini-2.5',
  responseId: 'r1',
});
const responses = (output: string): string =>
    eventOf({ type: 'response.created', response: { id: 'resp_1', model: 'gpt', usage: null } }, 'response.created') +
    eventOf({ type: 'response.output_text.delta', delta: 'Hello' }, 'response.output_text.delta') +
    eventOf({ type: 'response.completed', response: { id: 'resp_1', model: 'gpt', output, usage: { input_tokens: 11, input_tokens_details: { cached_tokens: 3 }, output_tokens: 5, output_tokens_details: { reasoning_tokens: 2 } } } }, 'response.completed'); // prettier-ignore

describe('usage', () => {
  test('of a streamed chat is asked for in the bytes as they came, and taken out of the answer again', async () => {
    await using fixture = await startForward();
    fixture.answerWith(events(STREAM + USAGE_EVENT + DONE));
    const body = '{ "stream" : true, "model": "m", "n": 1.0, "messages": [{"content":"\\u00e9"}]}';
    const { sink } = await fixture.forward({ body: Buffer.from(body) });
    expect(fixture.arrived[0]?.body.toString()).toBe(`{"stream_options":{"include_usage":true},${body.slice(1)}`);
    expect(sink.text).toBe(STREAM + DONE);
    expect(fixture.recorded).toMatchObject([
      {
        operation: 'chat.create',
        status: 'success',
        caller: 'test',
        session: 's1',
        model: 'm-2026',
        generationId: 'chatcmpl-1',
        promptTokens: 11,
        completionTokens: 5,
        firstTokenMs: expect.any(Number),
      },
    ]);
    expect(fixture.settled).toMatchObject([{ kind: 'succeeded', tokens: 16 }]);
  });

  test.each([
    [
      'without the wish',
      '{"stream":true,"stream_options":{"a":1}}',
      '{"stream":true,"stream_options":{"a":1,"include_usage":true}}',
    ],
    [
      'against it',
      '{"stream_options":{"include_usage":false},"stream":true}',
      '{"stream_options":{"include_usage":true},"stream":true}',
    ],
    ['null', '{"stream":true,"stream_options":null }', '{"stream":true,"stream_options":{"include_usage":true}}'],
  ])('is asked for where the options of the stream are %s', async (_what, body, sent) => {
    await using fixture = await startForward();
    fixture.answerWith(events(STREAM + USAGE_EVENT + DONE));
    const { sink } = await fixture.forward({ body: Buffer.from(body) });
    expect(fixture.arrived[0]?.body.toString()).toBe(sent);
    expect(sink.text).toBe(STREAM + DONE);
  });

  test.each([
    ['the client asked for it', {}, '{"stream":true,"stream_options":{"include_usage":true}}'],
    ['nothing is streamed', {}, '{"stream":false,"model":"m"}'],
    ['the provider refuses the wish', { streamUsageOption: false }, '{"stream":true,"model":"m"}'],
  ])('is not asked for where %s', async (_what, config, body) => {
    await using fixture = await startForward({ config });
    fixture.answerWith(events(`: busy\n\n${STREAM}${USAGE_EVENT}${DONE}`));
    const { sink } = await fixture.forward({ body: Buffer.from(body) });
    expect(fixture.arrived[0]?.body.toString()).toBe(body);
    expect(sink.text).toBe(`: busy\n\n${STREAM}${USAGE_EVENT}${DONE}`);
    expect(fixture.recorded).toMatchObject([{ promptTokens: 11 }]);
  });

  test.each([400, 422, 404, 500, 501])(
    'is not asked for again where the provider refused the wish, and the client sees nothing of it (%i)',
    async (status) => {
      await using fixture = await startForward({ retry: true });
      fixture.answerWith((response, request, count) =>
        (request.body.includes('stream_options')
          ? json({ error: { message: 'Extra inputs are not permitted: stream_options.include_usage' } }, status)
          : events(STREAM + DONE))(response, request, count),
      );
      for (let round = 1; round <= 2; round += 1) {
        const { outcome, sink } = await fixture.forward({ body: Buffer.from('{"stream":true,"model":"m"}') });
        expect(outcome).toMatchObject({ kind: 'answered', status: 200 });
        expect(sink.text).toBe(STREAM + DONE);
      }
      expect(fixture.arrived.map(({ body }) => body.includes('stream_options'))).toEqual([true, false, false]);
    },
  );

  test.each([
    ['another model', { error: { message: 'The model "include_usage" does not exist' } }, 404],
    ['a refusal that quotes the request', { detail: [{ input: { stream_options: { include_usage: true } } }] }, 422],
  ])('is asked for again after %s: quoting the wish is not refusing it', async (_what, refusal, status) => {
    await using fixture = await startForward();
    fixture.answerWith((response, request, count) =>
      (request.body.includes('wrong') ? json(refusal, status) : events(STREAM + USAGE_EVENT + DONE))(
        response,
        request,
        count,
      ),
    );
    const { outcome } = await fixture.forward({ body: Buffer.from('{"stream":true,"model":"wrong"}') });
    expect(outcome).toMatchObject({ kind: 'answered', status });
    await fixture.forward({ body: Buffer.from('{"stream":true,"model":"m"}') });
    expect(fixture.arrived.map(({ body }) => body.includes('stream_options'))).toEqual([true, false, true]);
    expect(fixture.recorded.at(-1)).toMatchObject({ status: 'success', promptTokens: 11 });
  });

  test('is asked for at other base URLs and for other organizations than those where it was refused', async () => {
    await using fixture = await startForward();
    fixture.answerWith((response, request, count) =>
      (request.body.includes('stream_options') && request.url.startsWith('/v1/')
        ? json({ error: { message: 'unknown field: stream_options' } }, 400)
        : events(STREAM + DONE))(response, request, count),
    );
    const body = Buffer.from('{"stream":true,"model":"m"}');
    for (const organization of [undefined, 'default', 'near', 'elsewhere', 'near']) {
      await fixture.forward({ body, organization });
    }
    expect(fixture.arrived.map((one) => [one.url, one.body.includes('stream_options')])).toEqual([
      ['/v1/chat/completions', true],
      ['/v1/chat/completions', false],
      ['/v1/chat/completions', false],
      ['/v1/chat/completions', true],
      ['/v1/chat/completions', false],
      ['/elsewhere/chat/completions', true],
      ['/v1/chat/completions', false],
    ]);
  });

  test('stays in an event that holds more, as at OpenRouter', async () => {
    await using fixture = await startForward();
    const last = eventOf({ ...choice({ content: '' }, 'stop'), usage: { ...USAGE, cost: 0.5 } });
    fixture.answerWith(events(STREAM + last + DONE));
    const { sink } = await fixture.forward({ body: Buffer.from('{"stream":true,"model":"m"}') });
    expect(sink.text).toBe(STREAM + last + DONE);
    expect(fixture.recorded).toMatchObject([{ promptTokens: 11, costMicros: 500_000 }]);
  });

  const messages =
    eventOf({ type: 'message_start', message: { id: 'msg_1', model: 'claude', usage: { input_tokens: 11, cache_creation_input_tokens: 2, cache_read_input_tokens: 3, output_tokens: 1 } } }, 'message_start') +
    eventOf({ type: 'ping' }, 'ping') +
    eventOf({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hello' } }, 'content_block_delta') +
    eventOf({ type: 'message_delta', delta: {}, usage: { output_tokens: 5 } }, 'message_delta') +
    eventOf({ type: 'message_stop' }, 'message_stop'); // prettier-ignore
  const counted = { promptTokens: 11, completionTokens: 5 };

  test.each([
    ['Messages, streamed', 'anthropic', '/v1/messages', messages,
      { operation: 'messages.create', model: 'claude', generationId: 'msg_1', promptTokens: 16, completionTokens: 5, cachedTokens: 3, cacheWriteTokens: 2 }],
    ['Messages, whole', 'anthropic', '/v1/messages', JSON.stringify({ id: 'msg_1', model: 'claude', usage: { input_tokens: 11, output_tokens: 5 } }),
      { operation: 'messages.create', ...counted }],
    ['Responses, streamed', 'openai', '/responses', responses('x'),
      { operation: 'responses.create', model: 'gpt', generationId: 'resp_1', ...counted, cachedTokens: 3, reasoningTokens: 2 }],
    ['Responses, with a long last event', 'openai', '/responses', responses('x'.repeat(300_000)),
      { operation: 'responses.create', model: 'gpt', ...counted, cachedTokens: 3, reasoningTokens: 2 }],
    ['Gemini, streamed as events', 'gemini', '/v1beta/models/g-1:streamGenerateContent', eventOf(gemini('He')) + eventOf(gemini('llo', { cachedContentTokenCount: 3 })),
      { operation: 'generate.create', model: 'gemini-2.5', generationId: 'r1', ...counted, cachedTokens: 3, reasoningTokens: 2 }],
    ['Gemini, streamed as a list', 'gemini', '/v1beta/models/g-1:streamGenerateContent', `[${JSON.stringify(gemini('He'))}\n,\r\n${JSON.stringify(gemini('llo'), null, 2)}]`,
      { operation: 'generate.create', model: 'gemini-2.5', ...counted, reasoningTokens: 2 }],
    ['embeddings', 'openai', '/embeddings', JSON.stringify({ data: [{ embedding: [0.1, 0.2] }], model: 'e', usage: { prompt_tokens: 4, total_tokens: 4 } }),
      { operation: 'embeddings.create', model: 'e', promptTokens: 4 }],
    ['images', 'openai', '/images/generations', JSON.stringify({ data: [{ b64_json: 'a'.repeat(200_000) }], usage: { input_tokens: 50, output_tokens: 50 } }),
      { operation: 'images.create', promptTokens: 50, completionTokens: 50 }],
  ] as const)('is read from %s, and the bytes stay as they were', async (_what, dialect, path, body, recorded) => {
    await using fixture = await startForward();
    const isStream = body.startsWith('event') || body.startsWith('data');
    fixture.answerWith((response) => {
      response.writeHead(200, { 'content-type': isStream ? 'text/event-stream' : 'application/json' });
      response.end(body);
    });
    const { outcome, sink } = await fixture.forward({ dialect, path, body: Buffer.from('{}') });
    expect(outcome.kind).toBe('answered');
    expect(sink.text).toBe(body);
    expect(fixture.recorded).toMatchObject([{ status: 'success', ...recorded }]);
  }); // prettier-ignore

  test('of any depth does no harm', async () => {
    await using fixture = await startForward();
    const deep = `${'['.repeat(25_000)}${']'.repeat(25_000)}`;
    const odd = `data: {"choices":[],"usage":{"prompt_tokens":3,"x":${deep}}}\n\n`;
    fixture.answerWith(events(STREAM + USAGE_EVENT + odd + DONE));
    const { sink } = await fixture.forward({ body: Buffer.from('{"stream":true}') });
    expect(sink).toMatchObject({ state: 'ended', text: STREAM + DONE });
    expect(fixture.recorded).toMatchObject([{ status: 'success', promptTokens: 3, completionTokens: 5 }]);
  });

  test('of a path that is not known is not looked for', async () => {
    await using fixture = await startForward();
    fixture.answerWith(json({ usage: USAGE }));
    await fixture.forward({ path: '/batches' });
    expect(fixture.recorded).toMatchObject([{ operation: 'provider.request', status: 'success' }]);
    expect(fixture.recorded[0]?.promptTokens).toBeUndefined();
  });
});

describe('a refusal', () => {
  test('of one key gives way to the next, with the same bytes; the client sees nothing of it', async () => {
    await using fixture = await startForward({ keys: 2 });
    fixture.answerWith((response, _request, count) =>
      (count === 1 ? json({ error: { message: 'slow down' } }, 429) : json({ usage: USAGE }))(
        response,
        _request,
        count,
      ),
    );
    const body = Buffer.from([0x7b, 0xff, 0x7d]);
    const { outcome, sink } = await fixture.forward({ body });
    expect(outcome).toMatchObject({ kind: 'answered', status: 200, keyId: 'ACME_API_KEY_2' });
    expect(sink.text).toBe(JSON.stringify({ usage: USAGE }));
    expect(fixture.arrived.map((request) => request.body)).toEqual([body, body]);
    expect(fixture.recorded).toMatchObject([
      { status: 'reach_limit', httpStatus: 429, retried: true },
      { status: 'success', promptTokens: 11 },
    ]);
    expect(fixture.recorded[1]).toMatchObject({ retried: null });
  });

  test('of every key is an error of ours, with the earliest recovery', async () => {
    await using fixture = await startForward({ keys: 2 });
    fixture.answerWith(json({ error: { message: 'slow down' } }, 429));
    const { outcome, sink } = await fixture.forward();
    expect(outcome).toMatchObject({
      kind: 'failed',
      begun: false,
      error: { code: 'POOL_EXHAUSTED', retryAfterMs: 1000 },
    });
    expect(sink.status).toBeUndefined();
    expect(fixture.recorded).toMatchObject([{ retried: true }, { status: 'reach_limit' }]);
    expect(fixture.recorded[1]).toMatchObject({ retried: null });
  });

  test('of the request itself is passed on as it was worded, with secrets masked', async () => {
    await using fixture = await startForward({ keys: 2 });
    const error = { error: { message: `too long, ${keyOf(1)}`, code: 'context_length_exceeded', param: 'messages' } };
    fixture.answerWith(json(error, 400, { 'x-request-id': 'r1' }));
    const { outcome, sink } = await fixture.forward();
    expect(outcome).toEqual({ kind: 'answered', status: 400, provider: 'acme', keyId: 'ACME_API_KEY_1' });
    expect(sink).toMatchObject({ status: 400, state: 'ended' });
    expect(sink.headers).toMatchObject({ 'x-request-id': 'r1', 'content-type': 'application/json' });
    expect(sink.text).toContain('context_length_exceeded');
    expect(sink.text).not.toContain('canary');
    expect(fixture.arrived).toHaveLength(1);
  });

  test('of our key is never passed on: the client would doubt its own', async () => {
    await using fixture = await startForward();
    fixture.answerWith(json({ error: { message: 'Incorrect API key' } }, 401));
    const { outcome, sink } = await fixture.forward();
    expect(outcome).toMatchObject({ kind: 'failed', begun: false });
    expect(sink.status).toBeUndefined();
  });

  test('inside a good answer counts as one, as long as nothing was passed on', async () => {
    await using fixture = await startForward({ keys: 2 });
    fixture.answerWith((response, request, count) =>
      (count === 1
        ? events(`: busy\n\n${eventOf({ error: { message: 'limited', code: 429 } })}`)
        : events(STREAM + DONE))(response, request, count),
    );
    const { outcome, sink } = await fixture.forward({ body: Buffer.from('{"stream":true}') });
    expect(outcome).toMatchObject({ kind: 'answered', keyId: 'ACME_API_KEY_2' });
    expect(sink.text).toBe(STREAM + DONE);
  });

  test('by a failing provider is asked again, and then passed on', async () => {
    await using fixture = await startForward({ retry: true });
    fixture.answerWith(json({ error: { message: 'boom' } }, 502));
    const { outcome, sink } = await fixture.forward();
    expect(outcome).toMatchObject({ kind: 'answered', status: 502 });
    expect(sink.text).toContain('boom');
    expect(sink.headers).toMatchObject({ 'x-should-retry': 'false' });
    expect(fixture.arrived).toHaveLength(3);
    expect(fixture.settled.filter(({ kind }) => kind === 'failed')).toHaveLength(3);
  });

  test('by one provider gives way to another of the same dialect', async () => {
    await using fixture = await startForward();
    fixture.answerWith((response, request, count) =>
      json({ usage: USAGE }, request.url.startsWith('/spare') ? 200 : 429)(response, request, count),
    );
    const { outcome } = await fixture.forward({ fallbacks: [{ provider: 'spare' }] });
    expect(outcome).toMatchObject({ kind: 'answered', status: 200, provider: 'spare' });
  });

  test.each([
    [
      'a chat',
      'openai',
      '/chat/completions',
      '{"a":[1,  2],"model":"m","n": 1}',
      '{"a":[1,  2],"model":"other/x","n": 1}',
    ],
    ['a message', 'anthropic', '/v1/messages', '{"model":"m"}', '{"model":"other/x"}'],
    [
      'a response',
      'openai',
      '/responses',
      '{"input":{"model":"in"},"model":"m"}',
      '{"input":{"model":"in"},"model":"other/x"}',
    ],
  ] as const)(
    '%s for another model has that model, and all else as it was',
    async (_what, dialect, path, body, changed) => {
      await using fixture = await startForward();
      fixture.answerWith((response, request, count) => json({}, count === 2 ? 200 : 503)(response, request, count));
      const { outcome } = await fixture.forward({
        dialect,
        path,
        body: Buffer.from(body),
        fallbacks: [{ model: 'm' }, { provider: 'nobody' }, { model: 'other/x' }],
      });
      expect(outcome).toMatchObject({ kind: 'answered', status: 200, provider: 'acme' });
      expect(fixture.arrived.map((request) => request.body.toString())).toEqual([body, changed]);
      expect(fixture.recorded).toMatchObject([{ model: 'm' }, { model: 'other/x', status: 'success' }]);
    },
  );

  test('a model of Gemini is changed in the path', async () => {
    await using fixture = await startForward();
    fixture.answerWith((response, request, count) => json({}, count === 2 ? 200 : 503)(response, request, count));
    await fixture.forward({ dialect: 'gemini', path: '/v1beta/models/m:generateContent', fallbacks: [{ model: 'b' }] });
    expect(fixture.arrived.map(({ url }) => url)).toEqual([
      '/v1beta/models/m:generateContent',
      '/v1beta/models/b:generateContent',
    ]);
  });

  test('only a provider of the same dialect is a fallback, and only for completions', async () => {
    await using fixture = await startForward();
    fixture.answerWith(json({}, 503));
    const fallbacks = [{ provider: 'spare' }, { model: 'b' }];
    await fixture.forward({ dialect: 'anthropic', path: '/v1/messages', fallbacks: [{ provider: 'spare' }] });
    expect(fixture.arrived).toHaveLength(1);
    for (const path of ['/embeddings', '/files', '/audio/speech']) await fixture.forward({ path, fallbacks });
    expect(fixture.arrived).toHaveLength(4);
  });
});

describe('keep-alives before the content', () => {
  const PING = ': ping\n\n';

  test.each([
    ['asked for on behalf of the client', '{"stream":true}'],
    ['asked for by the client', '{"stream":true,"stream_options":{"include_usage":true}}'],
  ])('leave after a few seconds, with usage that is %s', async (_how, body) => {
    const clock = new ManualClock();
    await using fixture = await startForward({ clock });
    const sink = new Received();
    const { promise: isHeld, resolve: hold } = Promise.withResolvers<ServerResponse>();
    fixture.answerWith((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(PING, () => hold(response));
    });
    const forwarding = fixture.forward({ body: Buffer.from(body) }, { sink });
    const response = await isHeld;
    await until('the keep-alives', () => {
      clock.advance(1000);
      response.write(PING);
      return sink.chunks.length > 0;
    });
    expect(sink.text.replaceAll(PING, '')).toBe('');
    response.end(STREAM + DONE);
    await forwarding;
    expect(sink.state).toBe('ended');
    expect(sink.text.replaceAll(PING, '')).toBe(STREAM + DONE);
  });

  test('begin nothing while they are held: an error behind them gives way to another key', async () => {
    await using fixture = await startForward({ keys: 2 });
    fixture.answerWith((response, _request, count) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const failed = eventOf({ error: { message: 'limit', code: 429 } });
      response.end(PING + (count === 1 ? failed : STREAM + DONE));
    });
    const { sink } = await fixture.forward({ body: Buffer.from('{"stream":true}') });
    expect(sink.text).toBe(PING + STREAM + DONE);
    expect(fixture.arrived).toHaveLength(2);
  });
});

describe('a stream that breaks', () => {
  test.each([
    ['with its connection', true],
    ['by ending early', false],
  ])('%s in the middle never ends cleanly, and what was seen is recorded', async (_how, isCut) => {
    await using fixture = await startForward();
    fixture.answerWith((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(eventOf({ ...choice({ content: 'half' }), usage: USAGE }), () => {
        if (isCut) response.destroy();
        else response.end();
      });
    });
    const { outcome, sink } = await fixture.forward({ body: Buffer.from('{"stream":true}') });
    expect(outcome).toMatchObject({ kind: 'failed', begun: true, error: { code: 'PROVIDER_UNAVAILABLE' } });
    expect(sink).toMatchObject({ status: 200, state: 'aborted' });
    expect(sink.text).toContain('half');
    expect(fixture.recorded).toMatchObject([{ status: 'failed', promptTokens: 11, model: 'm-2026' }]);
  });

  test.each([
    ['breaks with its connection', true, 'aborted', 'failed'],
    ['is ended by its provider without a reason', false, 'ended', 'success'],
  ])('of Gemini that %s ends as it did there', async (_how, isCut, state, status) => {
    await using fixture = await startForward();
    fixture.answerWith((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(eventOf(gemini('half')), () => {
        if (isCut) response.destroy();
        else response.end();
      });
    });
    const { sink } = await fixture.forward({ dialect: 'gemini', path: '/v1beta/models/g:streamGenerateContent' });
    expect(sink).toMatchObject({ status: 200, state, text: eventOf(gemini('half')) });
    expect(fixture.recorded).toMatchObject([{ status, promptTokens: 11, completionTokens: 6 }]);
  });

  test('with an error of its own is passed on to its end, and recorded as failed', async () => {
    await using fixture = await startForward();
    const first = eventOf({ type: 'message_start', message: { usage: { input_tokens: 3 } } }, 'message_start');
    const last = eventOf({ type: 'error', error: { type: 'overloaded_error', message: 'x' } }, 'error');
    const sink = new Received();
    fixture.answerWith((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(first);
      void until('the first event', () => sink.chunks.length > 0).then(() => response.end(last));
    });
    await fixture.forward({ dialect: 'anthropic', path: '/v1/messages' }, { sink });
    expect(sink.text).toBe(first + last);
    expect(sink.state).toBe('ended');
    expect(fixture.recorded).toMatchObject([{ status: 'failed', promptTokens: 3 }]);
  });

  test('behind its end has lost nothing', async () => {
    await using fixture = await startForward();
    fixture.answerWith((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(STREAM + DONE, () => response.destroy());
    });
    const { outcome, sink } = await fixture.forward({ body: Buffer.from('{"stream":true}') });
    expect(outcome.kind).toBe('answered');
    expect(sink).toMatchObject({ state: 'ended', text: STREAM + DONE });
  });

  test('within its packing, while one of its choices goes on, is broken off', async () => {
    await using fixture = await startForward();
    const begun = choiceOf(0, { content: 'a' }) + choiceOf(1, { content: 'b' }) + choiceOf(0, {}, 'stop');
    const words = Array.from({ length: 5000 }, (_, at) => choiceOf(1, { content: `${at * 7919}` })).join('');
    const packed = gzipSync(begun + words + choiceOf(1, {}, 'stop') + DONE);
    fixture.answerWith((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'content-encoding': 'gzip' });
      response.end(packed.subarray(0, packed.length / 2));
    });
    const { outcome, sink } = await fixture.forward({ body: Buffer.from('{"stream":true,"n":2}') });
    expect(outcome).toMatchObject({ kind: 'failed', begun: true });
    expect(sink.state).toBe('aborted');
    expect(fixture.recorded).toMatchObject([{ status: 'failed' }]);
  });

  test('within its packing, behind its end, has lost nothing', async () => {
    await using fixture = await startForward();
    const packed = gzipSync(STREAM + DONE).subarray(0, -8);
    fixture.answerWith((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'content-encoding': 'gzip' }).end(packed);
    });
    const { outcome, sink } = await fixture.forward({ body: Buffer.from('{"stream":true}') });
    expect(outcome.kind).toBe('answered');
    expect(sink).toMatchObject({ state: 'ended', text: STREAM + DONE });
    expect(fixture.settled).toMatchObject([{ kind: 'succeeded' }]);
  });

  test('that is a document is cut off, too', async () => {
    await using fixture = await startForward();
    fixture.answerWith((response) => {
      response.write('{"id":"x","choices":[{"mess');
      response.end();
    });
    const { sink } = await fixture.forward();
    expect(sink.state).toBe('aborted');
  });

  test('that is a document of the announced length, and cut off all the same, is an error and not begun', async () => {
    await using fixture = await startForward();
    fixture.answerWith((response) => response.end('{"id":"x","choices":[{"mess'));
    const { outcome, sink } = await fixture.forward();
    expect(outcome).toMatchObject({ kind: 'failed', begun: false, error: { code: 'PROVIDER_UNAVAILABLE' } });
    expect(sink.chunks).toEqual([]);
  });
});

describe('an answer with a length', () => {
  test.each([
    ['in one piece', 100],
    ['in many pieces', 1024 * 1024],
  ])('%s is recorded before its last byte leaves', async (_how, length) => {
    await using fixture = await startForward();
    const document = JSON.stringify({ id: 'x', usage: USAGE, text: 'x'.repeat(length) });
    fixture.answerWith((response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': document.length });
      response.end(document);
    });
    const sink = new Received();
    const recordedAt: number[] = [];
    sink.room = () => void recordedAt.push(fixture.recorded.length);
    await fixture.forward({}, { sink });
    expect(sink.text).toBe(document);
    expect(recordedAt.at(-1)).toBe(1);
  });
});

describe('the last event of a stream', () => {
  const CONTENT = 'data: {"choices":[{"delta":{"content":"x"}}]}\n\n';
  const DELTA = 'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"text":"x"}}\n\n';

  test.each([
    ['a chat', 'openai', '/chat/completions', CONTENT, 'data: [DONE]\n\n'],
    ['messages', 'anthropic', '/v1/messages', DELTA, 'data: {"type":"message_stop"}\n\n'],
    ['a response', 'openai', '/responses', DELTA, 'data: {"type":"response.completed","response":{}}\n\n'],
  ] as const)('of %s is recorded before it leaves', async (_kind, dialect, path, content, last) => {
    await using fixture = await startForward();
    fixture.answerWith((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(content);
      // A relay may write another mark behind that of the dialect.
      response.write(last);
      response.end(': bye\n\n');
    });
    const sink = new Received();
    const recordedAt = new Map<string, number>();
    sink.room = () => void recordedAt.set(sink.chunks.at(-1)?.toString() ?? '', fixture.recorded.length);
    const { outcome } = await fixture.forward({ dialect, path }, { sink });
    expect(outcome.kind).toBe('answered');
    expect([...recordedAt]).toEqual([
      [content, 0],
      [`${last}: bye\n\n`, 1],
    ]);
  });

  test('leaves soon where its provider keeps the connection open behind it', async () => {
    await using fixture = await startForward();
    const { promise: isSeen, resolve: see } = Promise.withResolvers<void>();
    fixture.answerWith((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(`${CONTENT}data: [DONE]\n\n`);
      void isSeen.then(() => response.end(': bye\n\n'));
    });
    const sink = new Received();
    sink.room = () => {
      if (sink.text.includes('[DONE]')) see();
    };
    await fixture.forward({}, { sink });
    expect(sink.text).toBe(`${CONTENT}data: [DONE]\n\n: bye\n\n`);
    expect(sink.state).toBe('ended');
  });

  test('is not held where very much follows it', async () => {
    // Time stands still: nothing but the number of bytes lets it go.
    await using fixture = await startForward({ clock: new ManualClock() });
    const text = `${CONTENT}data: [DONE]\n\n: ${'x'.repeat(100_000)}\n\n`;
    const { promise: isSeen, resolve: see } = Promise.withResolvers<void>();
    fixture.answerWith((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(text);
      void isSeen.then(() => response.end());
    });
    const sink = new Received();
    sink.room = () => {
      if (sink.text.includes('[DONE]')) see();
    };
    await fixture.forward({}, { sink });
    expect(sink.text).toBe(text);
  });

  test.each([
    ['a chunk without a size', 'x\r\n'],
    ['a line without CR', '0\n\n'],
  ])('is passed on where %s follows it: the client has all that it waits for', async (_what, rest) => {
    await using fixture = await startForward({ clock: new ManualClock() });
    const text = `${CONTENT}data: [DONE]\n\n`;
    fixture.answerWith((response) => {
      response.socket?.end(
        `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n${text.length.toString(16)}\r\n${text}\r\n${rest}`,
      );
    });
    const { sink } = await fixture.forward();
    expect(sink.text).toBe(text);
    expect(sink.state).toBe('aborted');
  });

  test('is not passed on later where its client goes away', async () => {
    const clock = new ManualClock();
    await using fixture = await startForward({ clock });
    const { promise: isAsked, resolve: ask } = Promise.withResolvers<void>();
    fixture.answerWith((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(CONTENT);
      response.write('data: [DONE]\n\n', () => ask());
    });
    const stop = new AbortController();
    const sink = new Received();
    const { promise: isBegun, resolve: begin } = Promise.withResolvers<void>();
    sink.room = () => begin();
    const forwarding = fixture.forward({}, { sink, signal: stop.signal });
    await Promise.all([isAsked, isBegun]);
    stop.abort(new AipassError('CANCELLED', 'gone'));
    const { outcome } = await forwarding;
    expect(outcome.kind).toBe('failed');
    const passed = sink.text;
    clock.advance(1000);
    expect(sink.text).toBe(passed);
  });

  test('fails the answer where its receiver refused it meanwhile', async () => {
    const clock = new ManualClock();
    await using fixture = await startForward({ clock });
    const { promise: isSeen, resolve: see } = Promise.withResolvers<void>();
    fixture.answerWith((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(CONTENT);
      response.write('data: [DONE]\n\n');
      void isSeen.then(() => response.end());
    });
    const sink = new Received();
    sink.room = () => {
      if (sink.text.includes('[DONE]')) throw new AipassError('FORBIDDEN', 'the right was taken away');
    };
    const forwarding = fixture.forward({}, { sink });
    await until('the last event is refused', () => {
      clock.advance(50);
      return sink.text.includes('[DONE]');
    });
    sink.room = undefined;
    see();
    const { outcome } = await forwarding;
    expect(outcome).toMatchObject({ kind: 'failed', begun: true });
    expect(fixture.recorded).toMatchObject([{ status: 'success' }]);
  });

  test('is not passed on behind an error: another key answers', async () => {
    await using fixture = await startForward({ keys: 2 });
    fixture.answerWith((response, _request, count) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.end(count === 1 ? 'data: {"error":{"code":429}}\n\ndata: [DONE]\n\n' : `${CONTENT}data: [DONE]\n\n`);
    });
    const { sink } = await fixture.forward();
    expect(sink.text).toBe(`${CONTENT}data: [DONE]\n\n`);
  });
});

describe('a client that goes away', () => {
  test('ends the request to the provider, and what was seen is recorded', async () => {
    await using fixture = await startForward();
    fixture.answerWith((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(eventOf({ ...choice({ content: 'half' }), usage: USAGE }));
    });
    const controller = new AbortController();
    const sink = new Received();
    const running = fixture.forward({ body: Buffer.from('{"stream":true}') }, { signal: controller.signal, sink });
    await until('the first bytes', () => sink.chunks.length > 0);
    controller.abort();
    // How soon is measured: npm run bench -- cancels.
    expect(await fixture.arrived[0]?.closed).toBeGreaterThan(0);
    expect((await running).outcome).toMatchObject({ kind: 'failed', begun: true, error: { code: 'CANCELLED' } });
    expect(fixture.recorded).toMatchObject([{ status: 'failed', errorCode: 'CANCELLED', promptTokens: 11 }]);
  });

  test('at the last byte of an answer has used its key all the same', async () => {
    await using fixture = await startForward();
    fixture.answerWith((response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(
        JSON.stringify({ choices: [{ index: 0, message: { content: 'x' }, finish_reason: 'stop' }], usage: USAGE }),
      );
    });
    const sink = new Received();
    sink.end = () => Promise.reject(new Error('the client went away'));
    const { outcome } = await fixture.forward({}, { sink });
    expect(outcome).toMatchObject({ kind: 'failed', error: { code: 'CANCELLED' } });
    expect(fixture.recorded).toMatchObject([{ status: 'success', promptTokens: 11 }]);
    expect(fixture.settled).toMatchObject([{ kind: 'succeeded', tokens: USAGE.total_tokens }]);
  });

  test('leaves the answer to be read on for the bill where the provider is set so', async () => {
    await using fixture = await startForward({ config: { onAbort: 'drain' } });
    let end: (() => void) | undefined;
    fixture.answerWith((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(STREAM);
      end = () => response.end(USAGE_EVENT + DONE);
    });
    const controller = new AbortController();
    const sink = new Received();
    sink.room = () => new Promise(() => {});
    const running = fixture.forward({ body: Buffer.from('{"stream":true}') }, { signal: controller.signal, sink });
    await until('the first bytes', () => sink.chunks.length > 0);
    controller.abort();
    expect((await running).outcome).toMatchObject({ kind: 'failed', begun: true, error: { code: 'CANCELLED' } });
    expect(fixture.recorded).toEqual([]);
    end?.();
    await until('the record', () => fixture.recorded.length === 1);
    expect(fixture.recorded).toMatchObject([{ errorCode: 'CANCELLED', promptTokens: 11, completionTokens: 5 }]);
    expect(fixture.settled).toMatchObject([{ kind: 'succeeded', tokens: 16 }]);
    expect(sink.chunks).toHaveLength(1);
  });
});
