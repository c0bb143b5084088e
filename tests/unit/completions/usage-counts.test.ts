import { expect, test } from 'vitest';
import { readUsage } from '../../../src/completions/usage-counts.ts';

const OPENROUTER = {
  prompt_tokens: 10,
  completion_tokens: 4,
  total_tokens: 14,
  cost: 0.00021,
  prompt_tokens_details: { cached_tokens: 6 },
  completion_tokens_details: { reasoning_tokens: 2 },
  cost_details: { upstream_inference_cost: 1 },
};

test('counts, their parts and the cost are read as OpenAI and OpenRouter word them', () => {
  expect(readUsage({ usage: OPENROUTER }, {})).toEqual({
    promptTokens: 10,
    completionTokens: 4,
    totalTokens: 14,
    cachedTokens: 6,
    reasoningTokens: 2,
    costUsd: 0.00021,
  });
});

test('the words of DeepSeek, Moonshot, Groq and Perplexity are known', () => {
  expect(readUsage({ usage: { prompt_cache_hit_tokens: 5 } }, {})).toEqual({ cachedTokens: 5 });
  expect(readUsage({}, { usage: { cached_tokens: 5 } })).toEqual({ cachedTokens: 5 });
  expect(readUsage({ x_groq: { usage: { total_tokens: 9 } } }, {})).toEqual({ totalTokens: 9 });
  expect(readUsage({ usage: { cost: { total_cost: 0.006 } } }, {})).toEqual({ costUsd: 0.006 });
});

test('no usage is none, and not zero', () => {
  expect(readUsage({}, {})).toBeUndefined();
  expect(readUsage({ usage: null }, {})).toBeUndefined();
});

test('a zero is a zero', () => {
  expect(readUsage({ usage: { prompt_tokens: 0, cost: 0 } }, {})).toEqual({ promptTokens: 0, costUsd: 0 });
});

test('what makes no sense is left out', () => {
  const usage = {
    prompt_tokens: -1,
    completion_tokens: '7',
    total_tokens: 1.5,
    cost: Number.NaN,
    prompt_tokens_details: [],
  };
  expect(readUsage({ usage }, {})).toEqual({});
});
