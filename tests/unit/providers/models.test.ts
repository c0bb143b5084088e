import { describe, expect, test } from 'vitest';
import { Secret } from '../../../src/base/secret.ts';
import { redactWith } from '../../../src/providers/error-reason.ts';
import { readModelPage as readPage } from '../../../src/providers/models.ts';

const KEY = 'acme-key-0123456789abcdef';

function readModelPage(document: unknown): ReturnType<typeof readPage> {
  return readPage(document, redactWith(new Secret(KEY)));
}

describe('a page of models', () => {
  test('is read in the dialect of OpenAI', () => {
    expect(readModelPage({ object: 'list', data: [{ id: 'gpt-x', object: 'model', owned_by: 'openai' }] })).toEqual({
      models: [{ id: 'gpt-x' }],
      next: undefined,
    });
  });

  test('is read in the dialect of OpenRouter, with prices for one token', () => {
    const entry = {
      id: 'a/b',
      name: 'A: B',
      context_length: 8192,
      pricing: { prompt: '0.00000025', completion: '0', image: '-1' },
    };
    expect(readModelPage({ data: [entry] })?.models).toEqual([
      { id: 'a/b', name: 'A: B', contextLength: 8192, promptPrice: '0.00000025', completionPrice: '0' },
    ]);
  });

  test('leaves out the price that stands for "it depends"', () => {
    expect(
      readModelPage({ data: [{ id: 'openrouter/auto', pricing: { prompt: '-1', completion: '-1' } }] })?.models,
    ).toEqual([{ id: 'openrouter/auto' }]);
  });

  test('is read as the bare array of Together, with prices for a million tokens', () => {
    const entry = {
      id: 't/m',
      display_name: 'T M',
      context_length: 4096,
      pricing: { input: 0.18, output: 2, hourly: 0 },
    };
    expect(readModelPage([entry])?.models).toEqual([
      { id: 't/m', name: 'T M', contextLength: 4096, promptPrice: '0.00000018', completionPrice: '0.000002' },
    ]);
  });

  test('is read in the dialect of Anthropic, and leads to the next', () => {
    const page = readModelPage({
      data: [{ id: 'claude-x', display_name: 'Claude X' }],
      has_more: true,
      last_id: 'claude-x',
    });
    expect(page).toEqual({
      models: [{ id: 'claude-x', name: 'Claude X' }],
      next: { parameter: 'after_id', value: 'claude-x' },
    });
    expect(readModelPage({ data: [], has_more: false, last_id: 'claude-x' })?.next).toBeUndefined();
  });

  test('is read in the native dialect of Google, and leads to the next', () => {
    const entry = { name: 'models/gemini-x', displayName: 'Gemini X', inputTokenLimit: 1_048_576 };
    expect(readModelPage({ models: [entry], nextPageToken: 'abc' })).toEqual({
      models: [{ id: 'gemini-x', name: 'Gemini X', contextLength: 1_048_576 }],
      next: { parameter: 'pageToken', value: 'abc' },
    });
  });

  test('is read in the dialect of Cohere', () => {
    expect(readModelPage({ models: [{ name: 'command-x', context_length: 128_000 }], next_page_token: 'n' })).toEqual({
      models: [{ id: 'command-x', contextLength: 128_000 }],
      next: { parameter: 'page_token', value: 'n' },
    });
  });

  test('skips entries without a name, and nonsense in the others', () => {
    const entries = [
      null,
      7,
      'x',
      {},
      { id: '' },
      { id: 7 },
      { id: 'ok', context_length: -1, pricing: 'free', name: [] },
    ];
    expect(readModelPage({ data: entries })?.models).toEqual([{ id: 'ok' }]);
  });

  test('shows names without what could move a cursor, and cuts them', () => {
    const model = readModelPage({ data: [{ id: `a\u001b[2J${'b'.repeat(1000)}` }] })?.models[0];
    expect(model?.id).toMatch(/^a \[2Jb+…$/);
    expect(model?.id).toHaveLength(256);
  });

  test.each([undefined, null, 7, 'text', {}, { data: {} }, { error: { message: 'no' } }])(
    'is not what %j is',
    (document) => {
      expect(readModelPage(document)).toBeUndefined();
    },
  );

  test('masks the key in ids and names, which are the words of the provider', () => {
    const page = readModelPage({ data: [{ id: `m-${KEY}`, display_name: `of ${KEY}` }] });
    expect(page?.models).toHaveLength(1);
    expect(JSON.stringify(page)).not.toContain(KEY.slice(5));
  });
});
