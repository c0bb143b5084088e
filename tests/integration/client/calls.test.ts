import { getEventListeners } from 'node:events';
import { dirname } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { VERSION } from '../../../src/base/version.ts';
import { connect } from '../../../src/client/index.ts';
import { answering, startFakeDaemon, welcomeOnly } from '../../support/fake-daemon.ts';
import { until } from '../../support/until.ts';

afterEach(() => {
  vi.unstubAllEnvs();
});

describe('connect', () => {
  it('says hello with the protocol, the caller and the library', async () => {
    await using test = await startFakeDaemon();
    const aipass = await connect({ socket: test.socket, caller: 'flow' });
    await aipass.close();
    expect(test.daemon.received).toStrictEqual([
      {
        type: 'hello',
        data: { protocol: 1, client: `aipassd-node/${VERSION}`, session: aipass.sessionId, caller: 'flow' },
      },
    ]);
  });

  it('finds the socket of this user by the same rules as the daemon, and needs no name', async () => {
    await using test = await startFakeDaemon();
    vi.stubEnv('AIPASSD_RUNTIME_DIR', dirname(test.socket));
    const aipass = await connect();
    await aipass[Symbol.asyncDispose]();
    expect(test.daemon.received[0]?.data).not.toHaveProperty('caller');
  });
});

describe('each method', () => {
  it('asks for its operation and returns the result', async () => {
    await using test = await startFakeDaemon(
      answering((op) => {
        const results: Record<string, unknown> = {
          'key.get': { provider: 'groq', keyId: 'GROQ_API_KEY', key: 'gsk_1' },
          'secret.get': { name: 'a/b', value: 'text' },
          'provider.models': { provider: 'groq', models: [{ id: 'm' }] },
          'provider.validate': { provider: 'groq', keys: [] },
          'status.get': { version: '1.2.3' },
          'completion.create': { content: 'hi' },
        };
        return results[op];
      }),
    );
    await using aipass = await connect({ socket: test.socket });
    expect(await aipass.key('groq', { keyId: 'GROQ_API_KEY', timeoutMs: 5000 })).toBe('gsk_1');
    expect(await aipass.key()).toBe('gsk_1');
    expect(await aipass.secret('a/b')).toBe('text');
    expect(await aipass.secret('a/b', { json: true })).toBe('text');
    expect(await aipass.models('groq')).toStrictEqual([{ id: 'm' }]);
    expect(await aipass.validate('groq', { online: true })).toStrictEqual([]);
    expect(await aipass.status()).toStrictEqual({ version: '1.2.3' });
    expect(await aipass.complete({ model: 'm', messages: [], temperature: 0, timeoutMs: 5000 })).toStrictEqual({
      content: 'hi',
    });
    expect(test.daemon.requests.map(({ data }) => [data.op, data.params])).toStrictEqual([
      ['key.get', { provider: 'groq', keyId: 'GROQ_API_KEY' }],
      ['key.get', {}],
      ['secret.get', { name: 'a/b' }],
      ['secret.get', { name: 'a/b', json: true }],
      ['provider.models', { provider: 'groq' }],
      ['provider.validate', { provider: 'groq', online: true }],
      ['status.get', {}],
      ['completion.create', { model: 'm', messages: [], temperature: 0, stream: false }],
    ]);
    expect(test.daemon.accepted).toBe(1);
  });

  it('that streams yields the chunks and has the result', async () => {
    await using test = await startFakeDaemon((frame, line) => {
      welcomeOnly(frame, line);
      const { id } = frame.data;
      if (frame.type !== 'request') return;
      for (const content of ['a', 'b']) line.send('chunk', { id, data: { content } });
      line.send('reply', { id, result: { content: 'ab' } });
    });
    await using aipass = await connect({ socket: test.socket });
    const stream = aipass.stream({ model: 'm', messages: [] });
    const contents = [];
    for await (const { content } of stream) contents.push(content);
    expect(contents).toStrictEqual(['a', 'b']);
    expect(await stream.result).toStrictEqual({ content: 'ab' });
    expect(test.daemon.requests[0]?.data.params).toStrictEqual({ model: 'm', messages: [], stream: true });
  });

  it('that streams cancels the request when its loop is left', async () => {
    await using test = await startFakeDaemon((frame, line) => {
      welcomeOnly(frame, line);
      if (frame.type === 'request') line.send('chunk', { id: frame.data.id, data: { content: 'a' } });
    });
    await using aipass = await connect({ socket: test.socket });
    const stream = aipass.stream({ model: 'm', messages: [] });
    for await (const { content } of stream) if (content === 'a') break;
    await expect(stream.result).rejects.toMatchObject({ code: 'CANCELLED' });
    await until('the daemon is told', () => test.daemon.received.some(({ type }) => type === 'cancel'));
  });

  it('that completes a chat needs a model', async () => {
    await using test = await startFakeDaemon();
    await using aipass = await connect({ socket: test.socket });
    await expect(aipass.complete({ model: '', messages: [] })).rejects.toMatchObject({ code: 'BAD_REQUEST' });
    expect(() => aipass.stream({ model: '', messages: [] })).toThrow(expect.objectContaining({ code: 'BAD_REQUEST' }));
    expect(test.daemon.requests).toStrictEqual([]);
  });
});

describe('a call', () => {
  it('gets its own answer, in whatever order answers come', async () => {
    const waiting: (() => void)[] = [];
    await using test = await startFakeDaemon((frame, line) => {
      welcomeOnly(frame, line);
      const { id, params } = frame.data;
      if (frame.type === 'request') waiting.push(() => line.send('reply', { id, result: params }));
      if (waiting.length === 100) for (const answer of waiting.toReversed()) answer();
    });
    await using aipass = await connect({ socket: test.socket });
    const names = Array.from({ length: 100 }, (_, n) => `p${n}`);
    const answers = await Promise.all(names.map((provider) => aipass.request('key.list', { provider })));
    expect(answers).toStrictEqual(names.map((provider) => ({ provider })));
  });

  it('fails with the error of the daemon: its code, message, hint and wait', async () => {
    const error = { code: 'POOL_EXHAUSTED', message: 'no key is free', hint: 'wait', retryAfterMs: 5 };
    await using test = await startFakeDaemon((frame, line) => {
      welcomeOnly(frame, line);
      if (frame.type === 'request') line.send('error', { id: frame.data.id, error });
    });
    await using aipass = await connect({ socket: test.socket });
    await expect(aipass.key('groq')).rejects.toMatchObject({ name: 'AipassError', ...error });
  });

  it.each([null, 7, {}, { code: 7, message: {} }, { code: 'TEAPOT', message: 'new' }])(
    'fails with INTERNAL where the error is none that it knows: %j',
    async (error) => {
      await using test = await startFakeDaemon((frame, line) => {
        welcomeOnly(frame, line);
        if (frame.type === 'request') line.send('error', { id: frame.data.id, error });
      });
      await using aipass = await connect({ socket: test.socket });
      await expect(aipass.key('groq')).rejects.toMatchObject({ code: 'INTERNAL' });
    },
  );

  it('whose parameters cannot be JSON fails, and disturbs no other', async () => {
    await using test = await startFakeDaemon(answering((_op, params) => params));
    await using aipass = await connect({ socket: test.socket });
    const loop: Record<string, unknown> = {};
    loop['self'] = loop;
    const bad = aipass.complete({ model: 'm', messages: [], loop });
    const good = aipass.request('key.list', { provider: 'groq' });
    await expect(bad).rejects.toMatchObject({ code: 'BAD_REQUEST', hint: 'pass plain values only' });
    await expect(good).resolves.toStrictEqual({ provider: 'groq' });
    await expect(aipass.complete({ model: 'm', messages: [], big: 1n })).rejects.toMatchObject({ code: 'BAD_REQUEST' });
  });

  it('takes no notice of messages that it did not ask for', async () => {
    await using test = await startFakeDaemon((frame, line) => {
      welcomeOnly(frame, line);
      if (frame.type !== 'request') return;
      const { id } = frame.data;
      for (const data of [null, 7, 'x', [], {}, { id: 999, result: 1 }, { id: '1', result: 1 }])
        line.send('reply', data);
      line.send('newer-thing', { id, result: 1 });
      line.send('chunk', { id, data: 'for nobody' });
      line.send('event', { event: 'unheard-of', data: {} });
      line.send('error', { id: 999, error: { code: 'INTERNAL', message: 'x' } });
      line.send('reply', { id, result: { keys: [] } });
      line.send('reply', { id, result: { keys: ['twice'] } });
    });
    await using aipass = await connect({ socket: test.socket });
    expect(await aipass.request('key.list', {})).toStrictEqual({ keys: [] });
    expect(await aipass.request('key.list', {})).toStrictEqual({ keys: [] });
  });
});

describe('a call that is not waited for', () => {
  it('is not sent when its signal is aborted already', async () => {
    await using test = await startFakeDaemon();
    await using aipass = await connect({ socket: test.socket });
    await expect(aipass.status({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'CANCELLED' });
    await expect(
      aipass.status({ signal: AbortSignal.abort(new DOMException('late', 'TimeoutError')) }),
    ).rejects.toMatchObject({ code: 'TIMED_OUT' });
    expect(test.daemon.requests).toStrictEqual([]);
  });

  it('fails with CANCELLED at once when its signal aborts, and the daemon is told', async () => {
    await using test = await startFakeDaemon();
    await using aipass = await connect({ socket: test.socket });
    const abort = new AbortController();
    const call = aipass.status({ signal: abort.signal });
    abort.abort();
    await expect(call).rejects.toMatchObject({ code: 'CANCELLED' });
    const cancel = await until('the daemon is told', () => test.daemon.received.find(({ type }) => type === 'cancel'));
    expect(cancel.data.id).toBe(test.daemon.requests[0]?.data.id);
  });

  it('fails with TIMED_OUT after its time, and a late answer goes nowhere', async () => {
    await using test = await startFakeDaemon((frame, line) => {
      welcomeOnly(frame, line);
      if (frame.type === 'cancel') line.send('reply', { id: frame.data.id, result: 'too late' });
      if (frame.data.op === 'key.list') line.send('reply', { id: frame.data.id, result: 'in time' });
    });
    await using aipass = await connect({ socket: test.socket });
    await expect(aipass.status({ timeoutMs: 20 })).rejects.toMatchObject({ code: 'TIMED_OUT' });
    await until('the daemon is told', () => test.daemon.received.some(({ type }) => type === 'cancel'));
    expect(await aipass.request('key.list', {}, { timeoutMs: 10_000 })).toBe('in time');
  });

  it('fails with TIMED_OUT when its signal is a time limit', async () => {
    await using test = await startFakeDaemon();
    await using aipass = await connect({ socket: test.socket });
    await expect(aipass.status({ signal: AbortSignal.timeout(20) })).rejects.toMatchObject({ code: 'TIMED_OUT' });
  });

  it('may also be one that waits for ever', async () => {
    const warnings: Error[] = [];
    const listen = (warning: Error): void => {
      warnings.push(warning);
    };
    process.on('warning', listen);
    await using test = await startFakeDaemon(answering((_op, params) => params));
    await using aipass = await connect({ socket: test.socket });
    await expect(aipass.request('key.list', {}, { timeoutMs: Infinity })).resolves.toStrictEqual({});
    await new Promise(setImmediate);
    process.off('warning', listen);
    expect(warnings).toStrictEqual([]);
  });

  it('leaves no listener on its signal, however it ended', async () => {
    await using test = await startFakeDaemon(answering((_op, params) => params));
    await using aipass = await connect({ socket: test.socket });
    const { signal } = new AbortController();
    for (let n = 0; n < 20; n += 1) await aipass.request('key.list', {}, { signal });
    await aipass.request('key.list', {}, { signal, timeoutMs: 5000 });
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });
});

describe('close', () => {
  it('fails what is under way with CANCELLED, and all that comes later with BAD_REQUEST', async () => {
    await using test = await startFakeDaemon();
    const aipass = await connect({ socket: test.socket });
    const failure = aipass.status().catch((error: unknown) => error);
    await aipass.close();
    await aipass.close();
    expect(await failure).toMatchObject({ code: 'CANCELLED' });
    await expect(aipass.status()).rejects.toMatchObject({ code: 'BAD_REQUEST', hint: 'connect() again' });
    await until('the line is closed', () => test.daemon.connections === 0);
  });
});
