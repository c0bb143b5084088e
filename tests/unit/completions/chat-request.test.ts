import { describe, expect, test } from 'vitest';
import { buildRequestBody, completionParams, printBody, routesOf } from '../../../src/completions/chat-request.ts';

const MESSAGES = [{ role: 'user', content: 'hi' }];

function problemsOf(params: unknown): string[] {
  const result = completionParams.safeParse(params);
  return result.success ? [] : result.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
}

test('whatever OpenAI takes is passed on untouched', () => {
  const params = {
    model: 'm',
    messages: [
      { role: 'system', content: 'be brief' },
      { role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:image/png;base64,AA==' } }], name: 'x' },
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } }],
      },
      { role: 'tool', tool_call_id: 'c', content: '1' },
    ],
    tools: [{ type: 'function', function: { name: 'f', parameters: {} } }],
    response_format: { type: 'json_object' },
    temperature: 0,
    stream: true,
    stream_options: null,
    n: 1,
    future_parameter: { deep: [1] },
  };
  expect(completionParams.parse(params)).toEqual(params);
});

test.each([undefined, null, '', '  ', 7])('the model %j is refused with the word that there is no default', (model) => {
  const [problem] = problemsOf({ model, messages: MESSAGES });
  expect(problem).toMatch(/^model: .*no default.*\{"model": /);
});

test.each([undefined, null, [], 'hi', {}, [7], [{}], [{ role: '' }], [{ role: 'user', content: 7 }]])(
  'the messages %j are refused',
  (messages) => {
    expect(problemsOf({ model: 'm', messages }).join()).toContain('messages');
  },
);

test('a stream that is null is no stream', () => {
  expect(completionParams.parse({ model: 'm', messages: MESSAGES, stream: null }).stream).toBeUndefined();
  expect(problemsOf({ model: 'm', messages: MESSAGES, stream: 'yes' })).toHaveLength(1);
});

test.each(['model', 'messages', 'stream'])('extraBody may not set "%s"', (name) => {
  expect(problemsOf({ model: 'm', messages: MESSAGES, extraBody: { [name]: null } })).toEqual([
    expect.stringMatching(new RegExp(`^extraBody: .*"${name}"`)),
  ]);
});

test.each([[[]], ['text'], [7]])('the extraBody %j is refused', (extraBody) => {
  expect(problemsOf({ model: 'm', messages: MESSAGES, extraBody })).toHaveLength(1);
});

test('several answers at once are refused: a result holds one', () => {
  expect(problemsOf({ model: 'm', messages: MESSAGES, n: 2 })).toEqual([expect.stringMatching(/^n: /)]);
});

test('a parameter called __proto__ pollutes nothing', () => {
  completionParams.safeParse(
    JSON.parse('{"model":"m","messages":[{"role":"user","__proto__":{"x":1}}],"__proto__":{"y":1}}'),
  );
  expect(Object.keys(Object.prototype)).toEqual([]);
});

const params = { model: 'm', messages: [{ role: 'user', content: 'hi' }] };
const takesOption = { streamUsageOption: true };
const refusesOption = { streamUsageOption: false };

test('our own parameters stay here, all others go along', () => {
  const body = buildRequestBody(
    { ...params, provider: 'openai', caller: 'flow', session: 's', maxWaitMs: 1, temperature: 1, future: {} },
    takesOption,
  );
  expect(body).toEqual({ ...params, stream: false, temperature: 1, future: {} });
});

test('extraBody is merged in, so that a provider can have a parameter of our name', () => {
  const body = buildRequestBody(
    { ...params, provider: 'openrouter', extraBody: { provider: { order: ['x'] } } },
    takesOption,
  );
  expect(body).toEqual({ ...params, stream: false, provider: { order: ['x'] } });
});

test('a stream asks for its usage where the provider takes the option', () => {
  expect(buildRequestBody({ ...params, stream: true }, takesOption)).toEqual({
    ...params,
    stream: true,
    stream_options: { include_usage: true },
  });
  expect(buildRequestBody({ ...params, stream: true }, refusesOption)).toEqual({ ...params, stream: true });
});

function withOptions(stream_options: unknown, provider = takesOption): unknown {
  return buildRequestBody({ ...params, stream: true, stream_options }, provider)['stream_options'];
}

test('the caller decides on the options of the stream', () => {
  expect(withOptions({ include_usage: false })).toEqual({ include_usage: false });
  expect(withOptions({ include_obfuscation: false })).toEqual({ include_obfuscation: false, include_usage: true });
  expect(withOptions({ include_usage: true }, refusesOption)).toEqual({ include_usage: true });
  expect(withOptions(null)).toBeUndefined();
});

test('the parameters are left as they are', () => {
  const frozen = Object.freeze({ ...params, stream: true, extraBody: Object.freeze({ a: 1 }) });
  buildRequestBody(frozen, takesOption);
  expect(frozen).toEqual({ ...params, stream: true, extraBody: { a: 1 } });
});

test('a body never holds half of a surrogate pair, which providers refuse', () => {
  const printed = printBody({ messages: [{ content: 'cut \ud83d' }], name: 'whole \ud83d\udc4b and \\ud83d' });
  expect(JSON.parse(printed)).toEqual({
    messages: [{ content: 'cut \ufffd' }],
    name: 'whole \ud83d\udc4b and \\ud83d',
  });
});

const CHAT = { model: 'm', messages: [{ role: 'user', content: 'ping' }] };

describe('the routes of a request', () => {
  test('are the one that it names, without fallbacks', () => {
    expect(routesOf(CHAT, 'openrouter', [])).toEqual([{ provider: 'openrouter', model: 'm' }]);
    expect(routesOf({ ...CHAT, provider: 'groq' }, 'openrouter', [])).toEqual([{ provider: 'groq', model: 'm' }]);
  });

  test('go on with models and providers in their order, each once', () => {
    const fallbacks = ['m2', { provider: 'groq' }, { provider: 'openai', model: 'gpt' }, 'm', 'm2'];
    expect(routesOf({ ...CHAT, fallbacks }, 'openrouter', [{ model: 'never' }])).toEqual([
      { provider: 'openrouter', model: 'm' },
      { provider: 'openrouter', model: 'm2' },
      { provider: 'groq', model: 'm' },
      { provider: 'openai', model: 'gpt' },
    ]);
  });

  test('take the configured fallbacks where the request names none, and none where it says so', () => {
    expect(routesOf(CHAT, 'openrouter', [{ provider: 'groq' }])).toHaveLength(2);
    expect(routesOf({ ...CHAT, fallbacks: [] }, 'openrouter', [{ provider: 'groq' }])).toHaveLength(1);
  });
});
