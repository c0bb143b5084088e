import { describe, expect, test } from 'vitest';
import { printSpliced, splicesOf } from '../../../src/base/spliced-json.ts';
import { chunkOf, completionOf, eventsOf } from '../../support/loopback-provider.ts';
import { until } from '../../support/until.ts';
import { CANARY, startFixture } from './completer-fixture.ts';

const USAGE = { promptTokens: 5, completionTokens: 2, totalTokens: 7, cachedTokens: 3, reasoningTokens: 1 };

describe('a completion', () => {
  test('carries content, id, model, reason, usage, provider and key', async () => {
    await using fixture = await startFixture();
    expect(await fixture.ask()).toEqual({
      content: 'pong',
      toolCalls: [],
      id: 'gen-test-1',
      model: 'test/small',
      finishReason: 'stop',
      usage: USAGE,
      provider: 'openrouter',
      keyId: 'OPENROUTER_API_KEY',
    });
  });

  test('streamed carries the same, and its deltas come in order', async () => {
    await using fixture = await startFixture();
    const { result, deltas } = await fixture.stream();
    expect(deltas).toEqual([{ content: 'po' }, { content: 'ng' }]);
    expect(result).toEqual(await fixture.ask());
  });

  test('settles its lease with headers, tokens and cost', async () => {
    await using fixture = await startFixture();
    fixture.upstream.queue({
      kind: 'json',
      body: { choices: [{ message: { content: 'pong' } }], usage: { total_tokens: 7, cost: 0.25 } },
      headers: { 'X-RateLimit-Remaining': '9', 'Set-Cookie': 'session=1' },
    });
    await fixture.ask();
    expect(fixture.settled).toEqual([
      {
        kind: 'succeeded',
        headers: expect.objectContaining({ 'x-ratelimit-remaining': '9' }),
        tokens: 7,
        costUsd: 0.25,
      },
    ]);
    expect(fixture.settled[0]).not.toHaveProperty('headers.set-cookie');
  });

  test('sends the parameters as they are, less ours', async () => {
    await using fixture = await startFixture();
    const params = {
      messages: [
        { role: 'system', content: 'be brief' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'é😀' },
            { type: 'image_url', image_url: { url: 'data:,' } },
          ],
        },
        { role: 'assistant', content: null, tool_calls: [] },
      ],
      tools: [{ type: 'function', function: { name: 'f' } }],
      response_format: { type: 'json_object' },
      temperature: 0.5,
      transforms: ['middle-out'],
    };
    await fixture.ask({ ...params, provider: 'openrouter', extraBody: { provider: { order: ['x'] } } });
    const [request] = fixture.upstream.requests;
    expect(request?.body).toEqual({ model: 'test/small', ...params, stream: false, provider: { order: ['x'] } });
    expect(request?.path).toBe('/v1/chat/completions');
    expect(request?.method).toBe('POST');
  });

  test('of tools carries the calls, streamed and whole', async () => {
    await using fixture = await startFixture();
    const call = { id: 'c1', type: 'function', function: { name: 'weather', arguments: '{"city":"Oslo"}' } };
    fixture.upstream.queue(
      completionOf('', {
        choices: [{ index: 0, message: { content: null, tool_calls: [call] }, finish_reason: 'tool_calls' }],
      }),
      {
        kind: 'events',
        events: [
          chunkOf({
            tool_calls: [{ index: 0, id: 'c1', type: 'function', function: { name: 'weather', arguments: '' } }],
          }),
          chunkOf({ tool_calls: [{ index: 0, function: { arguments: '{"city":' } }] }),
          chunkOf({ tool_calls: [{ index: 0, function: { arguments: '"Oslo"}' } }] }),
          chunkOf({}, 'tool_calls'),
        ],
      },
    );
    const whole = await fixture.ask();
    const { result } = await fixture.stream();
    expect(whole).toMatchObject({ content: null, toolCalls: [call], finishReason: 'tool_calls' });
    expect(result).toMatchObject({ content: null, toolCalls: [call], finishReason: 'tool_calls' });
  });

  test('from a server that ignores the wish for a stream is taken as it comes', async () => {
    await using fixture = await startFixture();
    fixture.upstream.queue(completionOf('all at once'));
    const { result, deltas } = await fixture.stream();
    expect(deltas).toEqual([{ content: 'all at once' }]);
    expect(result.content).toBe('all at once');
  });

  test('whose connection breaks after its last word is complete', async () => {
    await using fixture = await startFixture();
    fixture.upstream.queue({ kind: 'events', events: [chunkOf({ content: 'all' }), chunkOf({}, 'stop')], cut: true });
    expect((await fixture.stream()).result).toMatchObject({ content: 'all', usage: null });
  });
});

describe('a stream', () => {
  test('hands on each delta when it comes, not when the answer is complete', async () => {
    await using fixture = await startFixture();
    fixture.upstream.queue({ kind: 'paced' });
    const deltas: unknown[] = [];
    const running = fixture.ask({ stream: true }, { onDelta: (delta) => void deltas.push(delta) });
    const { stream } = await fixture.upstream.nextRequest();
    for (const word of ['one', 'two', 'three']) {
      await stream.comment('OPENROUTER PROCESSING');
      await stream.push(chunkOf({ content: word }));
      await until(`the delta "${word}"`, () => deltas.length > 0);
      expect(deltas).toEqual([{ content: word }]);
      deltas.length = 0;
    }
    await stream.push(chunkOf({}, 'stop'));
    await stream.done();
    expect((await running).content).toBe('onetwothree');
  });

  test('waits for its receiver before the next delta', async () => {
    await using fixture = await startFixture();
    const gates: (() => void)[] = [];
    const running = fixture.ask(
      { stream: true },
      {
        onDelta: () =>
          new Promise((resolve) => {
            gates.push(resolve);
          }),
      },
    );
    await until('the first delta', () => gates.length > 0);
    const { answered } = await fixture.upstream.nextRequest();
    await answered;
    expect(gates).toHaveLength(1);
    gates[0]?.();
    await until('the second delta', () => gates.length > 1);
    gates[1]?.();
    expect((await running).content).toBe('pong');
  });

  test('slows a provider down whose receiver is slow, instead of filling memory', async () => {
    await using fixture = await startFixture();
    fixture.upstream.queue({ kind: 'paced' });
    let open: (() => void) | undefined;
    const running = fixture.ask(
      { stream: true },
      {
        onDelta: () =>
          new Promise((resolve) => {
            open = resolve;
          }),
      },
    );
    const { stream } = await fixture.upstream.nextRequest();
    await stream.push(chunkOf({ content: 'first' }));
    await until('the first delta', () => open !== undefined);
    // More than all buffers between the two ends hold: the promise stays open until the receiver
    // has room.
    let taken = false;
    const flood = stream.raw(`: ${'x'.repeat(15 * 1024 * 1024)}\n\n`).then(() => {
      taken = true;
    });
    await fixture.ask();
    expect(taken).toBe(false);
    open?.();
    await flood;
    await stream.push(chunkOf({}, 'stop'));
    await stream.done();
    expect((await running).content).toBe('first');
  });

  test('asks for its usage, and gives its connection back for the next request', async () => {
    await using fixture = await startFixture();
    await fixture.stream();
    expect(fixture.upstream.requests[0]?.body).toMatchObject({ stream: true, stream_options: { include_usage: true } });
    // The end of the answer is read in the background.
    await until('a request on a connection that was used before', async () => {
      await fixture.stream();
      return fixture.upstream.connectionsEver() < fixture.upstream.requests.length;
    });
  });
});

describe('a request', () => {
  test('carries the key in another header where the provider wants that, and no Authorization', async () => {
    await using fixture = await startFixture({ config: { authHeader: 'X-Api-Key' } });
    await fixture.ask();
    expect(fixture.upstream.requests[0]?.headers).toMatchObject({ 'x-api-key': CANARY });
    expect(fixture.upstream.requests[0]?.headers).not.toHaveProperty('authorization');
  });

  test('without a key carries none', async () => {
    await using fixture = await startFixture({ key: null });
    expect((await fixture.ask()).keyId).toBeNull();
    expect(fixture.upstream.requests[0]?.headers).not.toHaveProperty('authorization');
  });

  test('to an unknown provider is NOT_FOUND and is not sent', async () => {
    await using fixture = await startFixture();
    const error = await fixture.failure({ provider: 'opnrouter' });
    expect(error.code).toBe('NOT_FOUND');
    expect(error.hint).toBe('did you mean "openrouter"?');
    expect(fixture.upstream.requests).toEqual([]);
  });

  test('to a default provider that is unknown says where its name comes from', async () => {
    await using fixture = await startFixture({ defaultProvider: 'opnrouter' });
    expect(await fixture.failure()).toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('"defaultProvider" in the configuration'),
      hint: expect.stringContaining('did you mean "openrouter"?'),
    });
  });

  test('with a key that no header can carry is not sent', async () => {
    await using fixture = await startFixture({ key: 'sk-or-v1-“quoted”' });
    const error = await fixture.failure();
    expect(error.code).toBe('BAD_REQUEST');
    expect(error.message).not.toContain('quoted');
    expect(fixture.upstream.requests).toEqual([]);
  });

  test('of 16 MB arrives whole', async () => {
    await using fixture = await startFixture();
    const content = 'é'.repeat(8 * 1024 * 1024);
    await fixture.ask({ messages: [{ role: 'user', content }] });
    expect(fixture.upstream.requests[0]?.body).toMatchObject({ messages: [{ content }] });
  });

  test('can be one of many at once', async () => {
    await using fixture = await startFixture();
    fixture.upstream.answerWith((request) => {
      const content = JSON.stringify(request.body).match(/ping (\d+)/)?.[1] ?? '';
      return { kind: 'events', events: eventsOf([content]) };
    });
    const numbers = Array.from({ length: 50 }, (_, index) => index);
    const results = await Promise.all(
      numbers.map((index) => fixture.ask({ stream: true, messages: [{ role: 'user', content: `ping ${index}` }] })),
    );
    expect(results.map((result) => result.content)).toEqual(numbers.map(String));
  });

  test('is recorded under the caller and session that it names, which never leave for the provider', async () => {
    await using fixture = await startFixture();
    await fixture.ask({ caller: 'flow', session: 'nightly' });
    expect(fixture.recorded).toMatchObject([{ operation: 'completion.create', caller: 'flow', session: 'nightly' }]);
    expect(fixture.upstream.requests[0]?.text).not.toMatch(/flow|nightly/);
  });
});

/** Returns a result as the socket prints it. */
function printed(value: object): unknown {
  const pieces = printSpliced(JSON.stringify(value), splicesOf(value) ?? new Map());
  return JSON.parse(Buffer.concat(pieces.map((piece) => Buffer.from(piece))).toString());
}

describe('a long answer', () => {
  const long = 'é"\n'.repeat(100_000);

  test('is whole, though it is never parsed as a whole', async () => {
    await using fixture = await startFixture();
    fixture.upstream.queue(completionOf(long));
    const result = await fixture.ask();
    expect(JSON.stringify(result).length).toBeLessThan(1000);
    expect(printed(result)).toMatchObject({ content: long, usage: USAGE });
  });

  test('is whole in its deltas and in its result, streamed', async () => {
    await using fixture = await startFixture();
    fixture.upstream.queue({ kind: 'events', events: eventsOf(['a', long, 'b', long]) });
    const { deltas, result } = await fixture.stream();
    expect(deltas.map(printed)).toEqual(['a', long, 'b', long].map((content) => ({ content })));
    expect(printed(result)).toMatchObject({ content: `a${long}b${long}` });
  });
});

describe('connections that were kept and died', () => {
  test('cost none of 32 callers anything: each is asked again on a new one, and nothing is held against the provider', async () => {
    await using fixture = await startFixture();
    let resets = 0;
    fixture.upstream.answerWith((request) => {
      // The first round keeps its connections; the second finds all of them dead.
      if (fixture.upstream.requests.length <= 32 || !request.isReused()) return completionOf('pong');
      resets += 1;
      return { kind: 'reset' };
    });
    const round = (): Promise<unknown[]> => Promise.all(Array.from({ length: 32 }, () => fixture.ask()));
    await round();
    expect(await round()).toMatchObject(Array.from({ length: 32 }, () => ({ content: 'pong' })));
    expect(resets).toBeGreaterThan(0);
    expect(fixture.settled.every(({ kind }) => kind === 'succeeded')).toBe(true);
  });
});
