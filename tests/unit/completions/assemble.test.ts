import { describe, expect, test } from 'vitest';
import type { CompletionDelta } from '../../../src/protocol/completion.ts';
import { Assembly, type AssembledCompletion } from '../../../src/completions/assemble.ts';
import { ErrorInAnswer } from '../../../src/completions/failure.ts';
import { ExchangeFailure } from '../../../src/providers/http-exchange.ts';

const chunk = (delta: unknown, finish: string | null = null, more: object = {}): unknown => ({
  id: 'gen-1',
  model: 'a/b',
  choices: [{ index: 0, delta, finish_reason: finish }],
  ...more,
});

function fold(chunks: readonly unknown[], sawEnd = true): { result: AssembledCompletion; deltas: CompletionDelta[] } {
  const assembly = new Assembly();
  const deltas = chunks.map((one) => assembly.addChunk(one)).filter((delta) => delta !== undefined);
  return { result: assembly.finish('asked/for', sawEnd), deltas };
}

function foldWhole(document: unknown): AssembledCompletion {
  const assembly = new Assembly();
  assembly.addWhole(document);
  return assembly.finish('asked/for', true);
}

describe('a stream', () => {
  test('gives its content piece by piece and as a whole, with id, model and reason', () => {
    const { result, deltas } = fold([
      chunk({ role: 'assistant', content: '' }),
      chunk({ content: 'Hel' }),
      chunk({ content: 'lo' }),
      chunk({}, 'stop'),
    ]);
    expect(deltas).toEqual([{ content: 'Hel' }, { content: 'lo' }]);
    expect(result).toEqual({
      content: 'Hello',
      toolCalls: [],
      id: 'gen-1',
      model: 'a/b',
      finishReason: 'stop',
      usage: null,
    });
  });

  test('has its usage in a chunk without choices, as OpenAI sends it', () => {
    const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 };
    const { result } = fold([chunk({ content: 'x' }, 'stop'), { id: 'gen-1', choices: [], usage }]);
    expect(result.usage).toEqual({ promptTokens: 1, completionTokens: 2, totalTokens: 3 });
  });

  test('has its usage in a chunk with choices and a second reason for the end, as OpenRouter sends it', () => {
    const { result } = fold([
      chunk({ content: 'x' }, 'stop'),
      chunk({ content: '' }, 'stop', { usage: { total_tokens: 3, cost: 0.5 } }),
    ]);
    expect(result).toMatchObject({ content: 'x', finishReason: 'stop', usage: { totalTokens: 3, costUsd: 0.5 } });
  });

  test('keeps a usage when later chunks have none', () => {
    const { result } = fold([chunk({}, null, { usage: { total_tokens: 3 } }), chunk({}, 'stop', { usage: null })]);
    expect(result.usage).toEqual({ totalTokens: 3 });
  });

  test('gives reasoning under both names, once where both hold the same', () => {
    const { result, deltas } = fold([
      chunk({ reasoning: 'a', reasoning_content: 'a' }),
      chunk({ reasoning_content: 'b' }),
      chunk({ content: 'x' }, 'stop'),
    ]);
    expect(deltas).toEqual([{ reasoning: 'a' }, { reasoning: 'b' }, { content: 'x' }]);
    expect(result.reasoning).toBe('ab');
  });

  test('gives a refusal and no content', () => {
    const { result, deltas } = fold([chunk({ refusal: 'I may ' }), chunk({ refusal: 'not.' }, 'stop')]);
    expect(deltas).toEqual([{ refusal: 'I may ' }, { refusal: 'not.' }]);
    expect(result).toMatchObject({ content: null, refusal: 'I may not.' });
  });

  test('gives tool calls and no content', () => {
    const piece = { index: 0, id: 'c', function: { name: 'f', arguments: '{}' } };
    const { result, deltas } = fold([
      chunk({ role: 'assistant', content: null, tool_calls: [piece] }),
      chunk({}, 'tool_calls'),
    ]);
    expect(deltas).toEqual([{ toolCalls: [{ index: 0, id: 'c', name: 'f', arguments: '{}' }] }]);
    expect(result).toMatchObject({
      content: null,
      finishReason: 'tool_calls',
      toolCalls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } }],
    });
  });

  test('may have content in parts, thoughts among them', () => {
    const { result } = fold([
      chunk({ content: [{ type: 'thinking', thinking: [{ type: 'text', text: 'hm' }] }] }),
      chunk({ content: [{ type: 'text', text: 'yes' }] }, 'stop'),
    ]);
    expect(result).toMatchObject({ content: 'yes', reasoning: 'hm' });
  });

  test('has one choice that counts; of the others nothing is lost', () => {
    const { result, deltas } = fold([
      {
        choices: [
          { index: 1, delta: { content: 'B' } },
          { index: 0, delta: { content: 'A' }, finish_reason: 'stop' },
        ],
      },
      { choices: [{ index: 1, delta: { content: 'C' }, finish_reason: 'stop' }] },
    ]);
    expect(result.content).toBe('A');
    expect(result.answerExtra).toEqual({ choices: [{ index: 1, delta: { content: 'BC' }, finish_reason: 'stop' }] });
    expect(deltas[1]).toEqual({
      answerExtra: { choices: [{ index: 1, delta: { content: 'C' }, finish_reason: 'stop' }] },
    });
  });

  test('has two choices of one number in a chunk; no field of either is lost', () => {
    const one = { index: 0, delta: { content: 'A', first: 1 }, own: 1, logprobs: { content: [1] } };
    const other = {
      index: 0,
      delta: { content: 'B', second: 2 },
      other: 2,
      logprobs: { refusal: [2] },
      finish_reason: 'stop',
    };
    const { deltas } = fold([{ choices: [one, other] }]);
    expect(deltas).toEqual([
      {
        content: 'AB',
        extra: { first: 1, second: 2 },
        choiceExtra: { own: 1, other: 2 },
        logprobs: { content: [1], refusal: [2] },
      },
    ]);
  });

  test('may number its only choice as it likes', () => {
    expect(fold([{ choices: [{ index: 1, delta: { content: 'A' }, finish_reason: 'stop' }] }]).result.content).toBe(
      'A',
    );
  });

  test('without a model is said to come from the one that was asked for', () => {
    expect(fold([{ choices: [{ delta: { content: 'x' }, finish_reason: 'stop' }] }]).result).toMatchObject({
      id: '',
      model: 'asked/for',
    });
  });

  test('ends well with a reason or with the mark, and badly with neither', () => {
    expect(fold([chunk({ content: 'x' }, 'stop')], false).result.finishReason).toBe('stop');
    expect(fold([chunk({ content: 'x' })], true).result.finishReason).toBeNull();
    expect(() => fold([chunk({ content: 'x' })], false)).toThrow(
      new ExchangeFailure('garbage', 'a stream that ended early'),
    );
  });

  test('without any choice is no answer', () => {
    expect(() => fold([])).toThrow(ExchangeFailure);
    expect(() => fold([{ choices: [] }, { choices: 'x' }, {}])).toThrow(ExchangeFailure);
  });

  test.each([null, 7, 'text'])('with the event %j is garbage', (event) => {
    expect(() => fold([event])).toThrow(ExchangeFailure);
  });

  test.each([
    ['in the event', { error: { message: 'no' } }, { message: 'no' }],
    ['beside choices', chunk({ content: '' }, 'error', { error: { code: 502 } }), { code: 502 }],
    ['in the choice', { choices: [{ delta: {}, error: { code: 429 } }] }, { code: 429 }],
    ['as the reason alone', chunk({}, 'error'), 'the answer broke off with the finish reason "error"'],
  ])('with an error %s fails', (_name, event, error) => {
    expect(() => fold([chunk({ content: 'x' }), event])).toThrow(
      expect.objectContaining({ name: 'ErrorInAnswer', error }),
    );
  });

  test('with an error field that is empty goes on', () => {
    for (const error of [null, {}, '']) {
      expect(fold([chunk({ content: 'x' }, 'stop', { error })]).result.content).toBe('x');
    }
  });
});

const citation = (url: string): unknown => ({ type: 'url_citation', url_citation: { url } });
const signed = (signature: string): unknown => ({ extra_content: { google: { thought_signature: signature } } });
const token = (text: string): unknown => ({ token: text, logprob: -0.5, bytes: null, top_logprobs: [] });
const likelyPiece = (text: string): unknown => ({
  choices: [{ index: 0, delta: { content: text }, logprobs: { content: [token(text)], refusal: null } }],
});

describe('what a message holds beside the known', () => {
  test('is joined from the pieces of a stream, and is in the delta that it came with', () => {
    const { result, deltas } = fold([
      chunk({ role: 'assistant', content: 'a', annotations: [citation('one')], function_call: null, images: [] }),
      chunk({ content: 'b', annotations: [citation('two'), citation('three')], signature: 'first ' }),
      chunk({ signature: 'second' }, 'stop'),
    ]);
    const extra = { annotations: ['one', 'two', 'three'].map(citation), signature: 'first second' };
    expect(result).toMatchObject({ content: 'ab', extra });
    expect(deltas).toEqual([
      { content: 'a', extra: { annotations: [citation('one')] } },
      { content: 'b', extra: { annotations: [citation('two'), citation('three')], signature: 'first ' } },
      { extra: { signature: 'second' } },
    ]);
  });

  test('is joined piece by piece: texts grow, items with one index are one, names of things stay', () => {
    const { result } = fold([
      chunk({ reasoning_text: 'I ', audio: { id: 'a1', transcript: 'he', expires_at: 1 } }),
      chunk({ reasoning_text: 'need', audio: { id: 'a1', transcript: 'llo', expires_at: 99 } }),
      chunk({ reasoning_details: [{ index: 0, type: 'reasoning.text', text: 'x', signature: null }] }),
      chunk({ reasoning_details: [{ index: 0, type: 'reasoning.text', text: 'y' }] }),
      chunk({ reasoning_details: [{ index: 1, type: 'reasoning.encrypted', data: 'z' }], flag: true }, 'stop'),
    ]);
    expect(result.extra).toEqual({
      reasoning_text: 'I need',
      audio: { id: 'a1', transcript: 'hello', expires_at: 99 },
      reasoning_details: [
        { index: 0, type: 'reasoning.text', text: 'xy', signature: null },
        { index: 1, type: 'reasoning.encrypted', data: 'z' },
      ],
      flag: true,
    });
  });

  test('and what the choice and the answer hold come through at their place, streamed where they change', () => {
    const top = { citations: ['one'], service_tier: 'default', provider: 'Upstream', created: 1, object: 'x' };
    const { result, deltas } = fold([
      { ...Object(chunk({ content: 'a' })), ...top },
      { ...Object(chunk({ content: 'b' })), ...top, citations: ['one', 'two'] },
      { choices: [{ index: 0, delta: {}, finish_reason: 'stop', native_finish_reason: 'end_turn' }], ...top, citations: ['one', 'two'] },
    ]);
    expect(deltas).toEqual([
      { content: 'a', answerExtra: { citations: ['one'], service_tier: 'default', provider: 'Upstream' } },
      { content: 'b', answerExtra: { citations: ['one', 'two'] } },
      { choiceExtra: { native_finish_reason: 'end_turn' } },
    ]);
    expect(result).toMatchObject({
      choiceExtra: { native_finish_reason: 'end_turn' },
      answerExtra: { citations: ['one', 'two'], service_tier: 'default', provider: 'Upstream' },
    });
    expect(Object.keys(result.answerExtra ?? {})).toEqual(['citations', 'service_tier', 'provider']);
  }); // prettier-ignore

  test('and the probabilities of its tokens are there, whole or in pieces', () => {
    const { result, deltas } = fold([likelyPiece('a'), likelyPiece('b')]);
    expect(deltas[1]).toEqual({ content: 'b', logprobs: { content: [token('b')] } });
    expect(result).toMatchObject({ content: 'ab', logprobs: { content: [token('a'), token('b')] } });
    const logprobs = { content: [token('x')], refusal: null };
    const whole = foldWhole({ choices: [{ message: { content: 'x' }, logprobs, finish_reason: 'stop' }] });
    expect(whole).toMatchObject({ content: 'x', logprobs: { content: [token('x')] } });
    expect(foldWhole({ choices: [{ message: { content: 'x' }, logprobs: null }] })).not.toHaveProperty('logprobs');
  });

  test('is there where a known field has another shape', () => {
    const image = { type: 'image_url', image_url: { url: 'data:image/png;base64,AA' } };
    const cited = [{ type: 'text', text: 'a', annotations: [1] }, { type: 'reference', reference_ids: [2] }, image];
    const { result, deltas } = fold([
      chunk({ content: cited }),
      chunk({ content: 'b', reasoning: { summary: 's' } }),
      { choices: [{ index: 0, delta: {}, finish_reason: { type: 'stop' }, logprobs: [1] }] },
    ]);
    expect(result).toMatchObject({ content: 'ab', finishReason: null });
    expect(result.extra).toEqual({ content: cited, reasoning: { summary: 's' } });
    expect(result.choiceExtra).toEqual({ finish_reason: { type: 'stop' }, logprobs: [1] });
    expect(deltas[0]).toEqual({ content: 'a', extra: { content: cited } });
    const thought = { type: 'thinking', thinking: [{ type: 'text', text: 't' }], signature: 's' };
    const whole = foldWhole({ choices: [{ message: { content: [thought] } }] });
    expect(whole).toMatchObject({ reasoning: 't', extra: { content: [thought] } });
  });

  test('is there where two names of reasoning hold different texts', () => {
    const message = { content: 'x', reasoning: 'short', reasoning_content: 'long' };
    const { reasoning, extra } = foldWhole({ choices: [{ message }] });
    expect({ reasoning, extra }).toEqual({ reasoning: 'short', extra: { reasoning_content: 'long' } });
  });

  test('is there in a message that stands beside each delta and grows (Perplexity)', () => {
    const { result } = fold([
      { choices: [{ index: 0, delta: { content: 'a' }, message: { content: 'a', citations: ['u'] } }] },
      { choices: [{ index: 0, delta: { content: 'b' }, message: { content: 'ab', citations: ['u', 'v'] }, finish_reason: 'stop' }] },
    ]);
    expect(result).toMatchObject({ content: 'ab', extra: { citations: ['u', 'v'] } });
  }); // prettier-ignore

  test('may be calls of another kind, which are not for the caller to answer', () => {
    const { result, deltas } = fold([
      chunk({ tool_calls: [{ index: 0, id: 'w', type: 'web_search', web_search: { input: 'q' } }] }),
      chunk({ tool_calls: [{ index: 0, web_search: { outputs: [1] } }] }),
      chunk({ content: 'x' }, 'stop'),
    ]);
    const search = { index: 0, id: 'w', type: 'web_search', web_search: { input: 'q', outputs: [1] } };
    expect(result).toMatchObject({ content: 'x', toolCalls: [], extra: { tool_calls: [search] } });
    expect(deltas[1]).toEqual({ extra: { tool_calls: [{ index: 0, web_search: { outputs: [1] } }] } });
  });

  test('and what the usage holds besides the counts comes through, but for zeros', () => {
    const usage = {
      prompt_tokens: 1,
      total_tokens: '3',
      queue_time: 0.1,
      cost_details: { upstream: 1 },
      is_byok: false,
    };
    const prompt_tokens_details = { cached_tokens: 1, audio_tokens: 2 };
    const completion_tokens_details = { reasoning_tokens: 4, audio_tokens: 0 };
    const { result } = fold([
      chunk({ content: 'x' }, 'stop', { x_groq: { id: 'req', seed: 3 } }),
      { choices: [], usage: { ...usage, prompt_tokens_details, completion_tokens_details } },
    ]);
    expect(result.usage).toEqual({
      promptTokens: 1,
      totalTokens: 3,
      cachedTokens: 1,
      reasoningTokens: 4,
      extra: { queue_time: 0.1, cost_details: { upstream: 1 }, is_byok: false, prompt_tokens_details },
    });
    expect(result.answerExtra).toEqual({ x_groq: { id: 'req', seed: 3 } });
  });

  test('keeps a signature as it is, though more than one comes', () => {
    expect(fold([chunk(signed('one')), chunk(signed('two'), 'stop')]).result.extra).toEqual(signed('two'));
  });

  test('is only data, whatever its name', () => {
    const message: unknown = JSON.parse('{"content":"x","__proto__":{"polluted":true},"constructor":{"a":1}}');
    const { extra } = foldWhole({ choices: [{ message, finish_reason: 'stop' }] });
    expect(Object.keys(extra ?? {}).toSorted()).toEqual(['__proto__', 'constructor']);
    expect(Reflect.get({}, 'polluted')).toBeUndefined();
  });
});

describe('a whole answer', () => {
  test('gives everything at once', () => {
    const result = foldWhole({
      id: 'gen-2',
      model: 'a/b',
      choices: [
        {
          index: 0,
          message: {
            role: 'assistant',
            content: 'Hello',
            reasoning: 'hm',
            tool_calls: [
              { id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } },
              { id: 'b', type: 'function', function: { name: 'f', arguments: '[]' } },
            ],
          },
          finish_reason: 'tool_calls',
        },
      ],
      usage: { total_tokens: 3 },
    });
    expect(result).toEqual({
      content: 'Hello',
      reasoning: 'hm',
      toolCalls: [
        { id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } },
        { id: 'b', type: 'function', function: { name: 'f', arguments: '[]' } },
      ],
      id: 'gen-2',
      model: 'a/b',
      finishReason: 'tool_calls',
      usage: { totalTokens: 3 },
    });
  });

  test('may have its text in one choice and its tool calls in the next (Copilot)', () => {
    const calls = [{ id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } }];
    const result = foldWhole({
      choices: [
        { message: { role: 'assistant', content: 'text' }, finish_reason: 'tool_calls' },
        { message: { role: 'assistant', tool_calls: calls }, finish_reason: 'tool_calls' },
      ],
    });
    expect(result).toMatchObject({ content: 'text', toolCalls: calls });
  });

  test('with an error instead of choices fails', () => {
    expect(() => foldWhole({ error: { message: 'no' } })).toThrow(ErrorInAnswer);
  });

  test.each([
    [{ success: false, message: 'no money' }, 'no money'],
    [{ detail: 'quota over', choices: null }, 'quota over'],
    [{ code: 401, msg: 'unknown token', data: null }, 'unknown token'],
    [{ base_resp: { status_code: 1008, status_msg: 'insufficient balance' }, choices: null }, 'insufficient balance'],
  ])('without a choice and with words for it (%j) fails with those', (document, message) => {
    let thrown: unknown;
    try {
      foldWhole(document);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(ErrorInAnswer);
    expect(thrown).toMatchObject({ error: { message } });
  });

  test('may number its choice with a text, and say beside it that all is well', () => {
    const choices = [{ index: '0', message: { content: 'fine' }, finish_reason: 'stop' }];
    const base = { status_code: 0, status_msg: 'success' };
    expect(foldWhole({ choices, base_resp: base, message: 'ok' })).toMatchObject({ content: 'fine' });
  });

  test('of any other shape is garbage', () => {
    for (const document of [{}, [], { choices: {} }, { choices: [null] }.choices]) {
      expect(() => foldWhole(document)).toThrow(ExchangeFailure);
    }
  });
});
