import { describe, expect, test } from 'vitest';
import { AnswerSummary, errorIn, isModelPath, kindOf, readUsage } from '../../../src/completions/dialects.ts';
import type { Dialect } from '../../../src/providers/provider.ts';

describe('a path whose refusals concern the key', () => {
  test.each([
    ['openai', '/chat/completions', true],
    ['openai', '/v1/chat/completions/', true],
    ['openai', '/models', true],
    ['openai', '/admin/chat/completions', false],
    ['openai', '/keys', false],
    ['openai', '/files', false],
    ['anthropic', '/v1/messages', true],
    ['anthropic', '/v1/organizations/users', false],
    ['gemini', '/v1beta/models/gemini-3:streamGenerateContent', true],
    ['gemini', '/models', true],
    ['gemini', '/v1beta/cachedContents', false],
  ] satisfies [Dialect, string, boolean][])('%s %s: %s', (dialect, path, expected) => {
    expect(isModelPath(dialect, path)).toBe(expected);
  });
});

describe('the kind of a request', () => {
  test.each([
    ['openai', 'POST', '/chat/completions', 'chat'],
    ['openai', 'POST', '/completions', 'chat'],
    ['openai', 'POST', '/responses', 'responses'],
    ['openai', 'GET', '/responses/resp_1', 'other'],
    ['openai', 'POST', '/embeddings', 'embeddings'],
    ['openai', 'POST', '/images/generations', 'images'],
    ['openai', 'POST', '/audio/transcriptions', 'audio'],
    ['openai', 'GET', '/models', 'other'],
    ['anthropic', 'POST', '/v1/messages', 'messages'],
    ['anthropic', 'POST', '/v1/messages/count_tokens', 'other'],
    ['gemini', 'POST', '/v1beta/models/g:streamGenerateContent', 'generate'],
    ['gemini', 'POST', '/v1/models/g:batchEmbedContents', 'embeddings'],
    ['gemini', 'POST', '/v1beta/models/g:countTokens', 'other'],
  ] as const)('of %s %s %s is %s', (dialect, method, path, kind) => {
    expect(kindOf(dialect, method, path)).toBe(kind);
  });
});

describe('usage', () => {
  test('of OpenAI and OpenRouter', () => {
    const usage = {
      prompt_tokens: 10,
      completion_tokens: 4,
      total_tokens: 14,
      cost: 0.00021,
      prompt_tokens_details: { cached_tokens: 6, cache_write_tokens: 3 },
      completion_tokens_details: { reasoning_tokens: 2 },
    };
    expect(readUsage('openai', usage)).toEqual({
      promptTokens: 10,
      completionTokens: 4,
      totalTokens: 14,
      cachedTokens: 6,
      cacheWriteTokens: 3,
      reasoningTokens: 2,
      costUsd: 0.00021,
    });
  });

  test('of Responses, images and audio, under their own names', () => {
    expect(readUsage('openai', { input_tokens: 65, output_tokens: 251, output_tokens_details: { reasoning_tokens: 2 } }))
      .toEqual({ promptTokens: 65, completionTokens: 251, reasoningTokens: 2 }); // prettier-ignore
  });

  test('of DeepSeek, Moonshot and Perplexity', () => {
    expect(readUsage('openai', { prompt_cache_hit_tokens: 5 })).toEqual({ cachedTokens: 5 });
    expect(readUsage('openai', { cached_tokens: 5 })).toEqual({ cachedTokens: 5 });
    expect(readUsage('openai', { cost: { total_cost: 0.006 } })).toEqual({ costUsd: 0.006 });
  });

  test('of Anthropic counts what was read from the cache and written to it as parts of the prompt', () => {
    const usage = { input_tokens: 11, cache_creation_input_tokens: 2, cache_read_input_tokens: 3, output_tokens: 5 };
    expect(readUsage('anthropic', usage)).toEqual({
      promptTokens: 16,
      completionTokens: 5,
      totalTokens: 21,
      cachedTokens: 3,
      cacheWriteTokens: 2,
    });
  });

  test('of Gemini counts thoughts as a part of the answer', () => {
    const usage = { promptTokenCount: 11, candidatesTokenCount: 5, thoughtsTokenCount: 2, cachedContentTokenCount: 3, totalTokenCount: 18 }; // prettier-ignore
    expect(readUsage('gemini', usage)).toEqual({
      promptTokens: 11,
      completionTokens: 7,
      totalTokens: 18,
      cachedTokens: 3,
      reasoningTokens: 2,
    });
  });

  test('written as text is read', () => {
    expect(readUsage('openai', { prompt_tokens: '65', cost: '0.00042' })).toEqual({
      promptTokens: 65,
      costUsd: 0.00042,
    });
  });

  test('that is zero is zero, and what makes no sense is left out', () => {
    expect(readUsage('openai', { prompt_tokens: 0, cost: 0 })).toEqual({ promptTokens: 0, costUsd: 0 });
    const nonsense = { prompt_tokens: -1, completion_tokens: 'x', total_tokens: 1.5, cost: Number.NaN };
    expect(readUsage('openai', { ...nonsense, prompt_tokens_details: [] })).toEqual({});
  });
});

function seen(dialect: Dialect, documents: readonly Record<string, unknown>[]): AnswerSummary['seen'] {
  const facts = new AnswerSummary(dialect);
  for (const document of documents) facts.add(document);
  return facts.seen;
}

describe('what an answer says of itself', () => {
  test('is in the choice at Moonshot and under a name of its own at Groq', () => {
    expect(seen('openai', [{ choices: [{ usage: { cached_tokens: 5 } }] }]).usage).toEqual({ cachedTokens: 5 });
    expect(seen('openai', [{ x_groq: { usage: { total_tokens: 9 } } }]).usage).toEqual({ totalTokens: 9 });
  });

  test('is in the last event of Responses', () => {
    const response = { id: 'resp_1', model: 'gpt', usage: { input_tokens: 1, output_tokens: 2, total_tokens: 3 } };
    expect(
      seen('openai', [{ type: 'response.created', response: { id: 'resp_1', usage: null } }, { response }]),
    ).toEqual({
      id: 'resp_1',
      model: 'gpt',
      usage: { promptTokens: 1, completionTokens: 2, totalTokens: 3 },
    });
  });

  test('grows over the events of Messages', () => {
    const message = {
      id: 'msg_1',
      model: 'claude',
      usage: { input_tokens: 11, cache_read_input_tokens: 3, output_tokens: 1 },
    };
    expect(seen('anthropic', [{ type: 'message_start', message }, { type: 'message_delta', usage: { output_tokens: 5 } }]))
      .toEqual({ id: 'msg_1', model: 'claude', usage: { promptTokens: 14, completionTokens: 5, totalTokens: 19, cachedTokens: 3 } }); // prettier-ignore
  });

  test('is not overwritten by zeros that come after it', () => {
    const usage = { prompt_tokens: 5, completion_tokens: 2, prompt_tokens_details: { cached_tokens: 1 } };
    const zeros = { prompt_tokens: 0, completion_tokens: 0, prompt_tokens_details: { cached_tokens: 0 } };
    expect(seen('openai', [{ usage }, { usage: zeros }, { usage: {} }, { usage: null }]).usage).toEqual({
      promptTokens: 5,
      completionTokens: 2,
      cachedTokens: 1,
    });
  });

  test('is unknown where there is none, and not zero', () => {
    expect(seen('openai', [{}, { usage: null }, { usage: 7 }])).toEqual({ id: null, model: null, usage: null });
  });
});

describe('an error inside an answer', () => {
  test.each([
    [{ error: { message: 'no' } }, { message: 'no' }],
    [{ type: 'error', error: { type: 'overloaded_error' } }, { type: 'overloaded_error' }],
    [{ type: 'response.failed', response: { error: { code: 'server_error' } } }, { code: 'server_error' }],
    [{ choices: [{ finish_reason: 'error', error: { code: 502 } }] }, { code: 502 }],
    [
      { base_resp: { status_code: 1008, status_msg: 'insufficient balance' } },
      { message: 'insufficient balance', code: 'base_resp_1008' },
    ],
    [{ base_resp: { status_code: 0, status_msg: 'success' } }, undefined],
    [{ error: {} }, undefined],
    [{ error: null }, undefined],
    [{ error: '' }, undefined],
    [{ choices: [{ finish_reason: 'stop' }] }, undefined],
  ])('%j is %j', (document, error) => {
    expect(errorIn(document)).toEqual(error);
  });
});
