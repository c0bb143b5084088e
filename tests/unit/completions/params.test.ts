import { expect, test } from 'vitest';
import { completionParams } from '../../../src/completions/params.ts';

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
  expect(problem).toContain('model: is mandatory, there is no default model; for example {"model": ');
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
    `extraBody: may not hold "${name}": it is a parameter of its own`,
  ]);
});

test.each([[[]], ['text'], [7]])('the extraBody %j is refused', (extraBody) => {
  expect(problemsOf({ model: 'm', messages: MESSAGES, extraBody })).toHaveLength(1);
});

test('several answers at once are refused: a result holds one', () => {
  expect(problemsOf({ model: 'm', messages: MESSAGES, n: 2 })).toEqual([
    'n: has to be 1: ask again for another answer',
  ]);
});

test('a parameter called __proto__ pollutes nothing', () => {
  completionParams.safeParse(
    JSON.parse('{"model":"m","messages":[{"role":"user","__proto__":{"x":1}}],"__proto__":{"y":1}}'),
  );
  expect(Object.keys(Object.prototype)).toEqual([]);
});
