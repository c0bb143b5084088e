import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chunkOf, refusalOf, streamOf } from '../support/loopback-provider.ts';
import { until } from '../support/until.ts';
import { LOCAL_KEY, createTestDaemon, type TestDaemon } from '../support/test-daemon.ts';

const CHAT = { model: 'm-1', messages: [{ role: 'user', content: 'hello' }] };

describe('completions through the daemon', () => {
  let shared: TestDaemon;
  beforeAll(async () => {
    shared = await createTestDaemon();
  });
  afterAll(() => shared[Symbol.asyncDispose]());

  it('every OpenAI parameter reaches the provider, with the key and nothing of ours', async () => {
    await using running = await createTestDaemon();
    const aipass = await running.connect();
    const chat = {
      model: 'm-1',
      messages: [
        { role: 'system', content: 'be brief' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'what is it?' },
            { type: 'image_url', image_url: { url: 'data:image/png;base64,AA==' } },
          ],
        },
        {
          role: 'assistant',
          content: null,
          tool_calls: [{ id: 'c1', type: 'function', function: { name: 'look', arguments: '{}' } }],
        },
        { role: 'tool', tool_call_id: 'c1', content: 'a cat' },
      ],
      temperature: 0.2,
      max_tokens: 64,
      tools: [{ type: 'function', function: { name: 'look', parameters: { type: 'object', properties: {} } } }],
      response_format: { type: 'json_object' },
      seed: 7,
    };
    await aipass.complete({ ...chat, provider: 'local', extraBody: { provider: { order: ['x'] } } });
    const [request] = running.provider.requests;
    expect(request?.key).toBe(LOCAL_KEY);
    expect(request?.body).toMatchObject({ ...chat, provider: { order: ['x'] } });
    expect(request?.body).not.toHaveProperty('extraBody');
  });

  it.each([
    ['a field', (deep: string) => `{"choices":[{"message":{"content":"x","more":${deep}}}],"other":${deep}}`],
    [
      'the arguments of a call',
      (deep: string) => `{"choices":[{"message":{"tool_calls":[{"function":{"name":"f","arguments":${deep}}}]}}]}`,
    ],
    [
      'a streamed field',
      (deep: string) =>
        `data: {"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}],"other":${deep}}\n\ndata: [DONE]\n\n`,
    ],
  ])('an answer that is nested too deep in %s is the fault of the provider', async (_where, bodyWith) => {
    await using running = await createTestDaemon();
    const aipass = await running.connect();
    const ask = async (levels: number): Promise<unknown> => {
      running.provider.answerWith({
        kind: 'text',
        body: bodyWith(`${'['.repeat(levels)}${']'.repeat(levels)}`),
        headers: { 'content-type': 'application/json' },
      });
      return await aipass.complete({ ...CHAT, provider: 'local' });
    };
    expect(await ask(400)).toMatchObject({ model: 'm-1' });
    for (const levels of [600, 5000, 200_000]) {
      await expect(ask(levels)).rejects.toMatchObject({ code: 'PROVIDER_UNAVAILABLE' });
    }
  });

  it('a tool call, usage and cost come back, whole and streamed alike', async () => {
    await using running = await createTestDaemon();
    const aipass = await running.connect();
    const usage = {
      prompt_tokens: 10,
      completion_tokens: 5,
      total_tokens: 15,
      cost: 0.00012,
      prompt_tokens_details: { cached_tokens: 4 },
      completion_tokens_details: { reasoning_tokens: 3 },
    };
    const call = { id: 'c1', type: 'function', function: { name: 'look', arguments: '{"at":1}' } };
    running.provider.queue({
      kind: 'json',
      body: {
        id: 'g1',
        model: 'm-1-x',
        choices: [
          { index: 0, finish_reason: 'tool_calls', message: { role: 'assistant', content: null, tool_calls: [call] } },
        ],
        usage,
      },
    });
    const whole = await aipass.complete(CHAT);
    running.provider.queue({
      kind: 'events',
      events: [
        {
          id: 'g1',
          model: 'm-1-x',
          choices: [
            {
              index: 0,
              delta: {
                role: 'assistant',
                tool_calls: [{ index: 0, id: 'c1', type: 'function', function: { name: 'look', arguments: '' } }],
              },
              finish_reason: null,
            },
          ],
        },
        {
          id: 'g1',
          model: 'm-1-x',
          choices: [
            {
              index: 0,
              delta: { tool_calls: [{ index: 0, function: { arguments: '{"at":1}' } }] },
              finish_reason: null,
            },
          ],
        },
        { id: 'g1', model: 'm-1-x', choices: [{ index: 0, delta: {}, finish_reason: 'tool_calls' }], usage },
      ],
    });
    const streamed = await aipass.stream(CHAT).result;
    expect(streamed).toEqual(whole);
    expect(whole).toEqual({
      content: null,
      toolCalls: [call],
      id: 'g1',
      model: 'm-1-x',
      finishReason: 'tool_calls',
      usage: {
        promptTokens: 10,
        completionTokens: 5,
        totalTokens: 15,
        cachedTokens: 4,
        reasoningTokens: 3,
        costUsd: 0.00012,
      },
      provider: 'local',
      keyId: 'LOCAL_API_KEY',
    });
  });

  it('deltas arrive as they come', async () => {
    await using running = await createTestDaemon();
    running.provider.answerWith({ kind: 'paced' });
    const aipass = await running.connect();
    const stream = aipass.stream(CHAT);
    const deltas = stream[Symbol.asyncIterator]();
    const request = await running.provider.nextRequest();
    for (const piece of ['one ', 'two ', 'three']) {
      await request.stream.push(chunkOf({ content: piece }));
      // The next piece is not sent before this one has arrived.
      expect((await deltas.next()).value).toEqual({ content: piece });
    }
    await request.stream.push(chunkOf({}, 'stop'));
    await request.stream.done();
    expect((await stream.result).content).toBe('one two three');
  });

  it.each(['cancelled', 'gone'] as const)('a client that has %s closes the connection to the provider', async (how) => {
    await using running = await createTestDaemon();
    running.provider.answerWith({ kind: 'paced' });
    const aipass = await running.connect();
    const stream = aipass.stream(CHAT);
    const request = await running.provider.nextRequest();
    await request.stream.push(chunkOf({ content: 'one' }));
    await stream[Symbol.asyncIterator]().next();
    if (how === 'cancelled') stream.cancel();
    else await aipass.close();
    await request.closedByClient;
    await expect(stream.result).rejects.toMatchObject({ code: 'CANCELLED' });
    const watcher = await running.connect();
    await until('nothing is in flight', async () => (await watcher.status()).requestsInFlight === 1);
  });

  it.each([
    ['401', refusalOf(401, `Incorrect API key provided: ${LOCAL_KEY}`), 'PROVIDER_REJECTED', /answered 401/, 1],
    ['402', refusalOf(402, 'Insufficient credits'), 'POOL_EXHAUSTED', /402.*Insufficient credits/, 1],
    ['404', refusalOf(404, 'no such model'), 'PROVIDER_REJECTED', /404.*no such model/, 1],
    ['429', refusalOf(429, 'slow down', { 'retry-after': '7' }), 'POOL_EXHAUSTED', /429/, 1],
    ['500', refusalOf(500, 'oops'), 'PROVIDER_UNAVAILABLE', /500/, 3],
    [
      'HTML',
      { kind: 'text', body: '<html>gateway</html>', headers: { 'content-type': 'text/html' } },
      'PROVIDER_UNAVAILABLE',
      /local/,
      3,
    ],
    ['nothing', { kind: 'text', body: '' }, 'PROVIDER_UNAVAILABLE', /local/, 3],
    ['a reset', { kind: 'reset' }, 'PROVIDER_UNAVAILABLE', /local/, 3],
    [
      'half a stream',
      { kind: 'events', events: [chunkOf({ content: 'half' })], done: false },
      'PROVIDER_UNAVAILABLE',
      /local/,
      1,
    ],
    [
      'an error as the first event of a 200 stream',
      { kind: 'events', events: [{ error: { message: 'upstream is down', code: 502 } }] },
      'PROVIDER_UNAVAILABLE',
      /local/,
      3,
    ],
  ] as const)(
    '%s from the only key is a clear error, and a failing provider alone is asked again',
    async (_name, reply, code, message, times) => {
      await using running = await createTestDaemon();
      const aipass = await running.connect();
      running.provider.answerWith(reply);
      const error = await aipass.stream(CHAT).result.then(
        () => undefined,
        (failure: unknown) => failure,
      );
      expect(error).toMatchObject({ code, message: expect.stringMatching(message), hint: expect.any(String) });
      expect(JSON.stringify(error) + String(error)).not.toContain(LOCAL_KEY);
      expect(running.provider.requests).toHaveLength(times);
      expect((await aipass.status()).pools).toHaveLength(2);
    },
  );

  it.each(['nothing', 'head'] as const)(
    'a provider that stalls after %s is given up after the limit',
    async (after) => {
      await using running = await createTestDaemon({ local: { timeoutMs: 150 } });
      const aipass = await running.connect();
      running.provider.queue({ kind: 'stall', after, type: 'text/event-stream' });
      await expect(aipass.stream(CHAT).result).rejects.toMatchObject({ code: 'TIMED_OUT' });
      running.provider.queue(streamOf(['fine']));
      expect((await aipass.stream(CHAT).result).content).toBe('fine');
    },
  );

  it('a completion that was under way when the daemon died fails as one that may have had effects', async () => {
    await using running = await createTestDaemon();
    running.provider.answerWith({ kind: 'stall', after: 'nothing' });
    const aipass = await running.connect();
    const completion = aipass.complete(CHAT);
    // Looked at later: a rejection that nobody heard yet would end the test.
    const failure = completion.catch((error: unknown) => error);
    await running.provider.nextRequest();
    await running.daemon.kill();
    expect(await failure).toMatchObject({ code: 'CANCELLED', hint: expect.stringContaining('effects') });
    await expect(aipass.key('local')).rejects.toMatchObject({ code: 'DAEMON_UNREACHABLE' });
  });
});
