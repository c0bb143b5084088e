import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../../src/base/config.ts';
import { AipassError } from '../../../src/base/errors.ts';
import { createProviders } from '../../../src/providers/registry.ts';

function providersOf(providers: unknown = {}): ReturnType<typeof createProviders> {
  return createProviders(parseConfig(JSON.stringify({ providers }), 'config.jsonc'));
}

function errorOf(work: () => unknown): AipassError {
  try {
    work();
  } catch (error) {
    if (error instanceof AipassError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('the built-in providers', () => {
  test('are the fifteen of the contract', () => {
    expect(providersOf().names().toSorted()).toEqual(
      [
        'anthropic', 'cerebras', 'cohere', 'deepseek', 'fireworks', 'google', 'groq', 'mistral', 'moonshot', 'ollama',
        'openai', 'openrouter', 'perplexity', 'together', 'xai',
      ],
    ); // prettier-ignore
  });

  test('have absolute addresses on the host of their base URL, and https but for the local one', () => {
    for (const { name, baseUrl, modelsUrl, keyCheck } of providersOf().list()) {
      const base = new URL(baseUrl);
      const others = [modelsUrl, keyCheck?.url]
        .filter((url) => typeof url === 'string')
        .map((url) => new URL(url).origin);
      expect({ name, protocol: base.protocol, others: new Set([base.origin, ...others]).size }).toEqual({
        name,
        protocol: name === 'ollama' ? 'http:' : 'https:',
        others: 1,
      });
      expect(baseUrl).not.toMatch(/\/$/);
    }
  });

  test('never take a public model list for a proof of a key', () => {
    const proofs = providersOf()
      .list()
      .filter((provider) => provider.modelsArePublic)
      .map(({ name, modelsUrl, keyCheck }) => ({ name, proof: keyCheck?.url === modelsUrl }));
    expect(proofs).toEqual([
      { name: 'openrouter', proof: false },
      { name: 'ollama', proof: false },
    ]);
  });

  test('know where and how each is asked', () => {
    const providers = providersOf();
    expect(providers.get('openrouter')).toMatchObject({
      baseUrl: 'https://openrouter.ai/api/v1',
      source: 'built-in',
      dialects: { openai: { authHeader: 'authorization' } },
      headers: { 'http-referer': 'https://aipass.local', 'x-title': 'aipassd' },
      needsKey: true,
      modelsUrl: 'https://openrouter.ai/api/v1/models',
      modelsArePublic: true,
      keyCheck: { method: 'GET', url: 'https://openrouter.ai/api/v1/key' },
      timeoutMs: 120_000,
    });
    expect(providers.get('anthropic')).toMatchObject({
      dialects: { openai: { authHeader: 'x-api-key' } },
      headers: { 'anthropic-version': '2023-06-01' },
      keyCheck: { url: 'https://api.anthropic.com/v1/models' },
    });
    expect(providers.get('cohere').keyCheck).toEqual({
      method: 'POST',
      url: 'https://api.cohere.ai/v1/check-api-key',
      invalidStatuses: [401],
      mustBeTrue: ['valid'],
      mustNotBeTrue: [],
    });
    expect(providers.get('xai').keyCheck?.url).toBe('https://api.x.ai/v1/api-key');
    expect(providers.get('deepseek').keyCheck?.url).toBe('https://api.deepseek.com/user/balance');
    expect(providers.get('moonshot').keyCheck?.url).toBe('https://api.moonshot.ai/v1/users/me/balance');
    expect(providers.get('google').modelsUrl).toBe('https://generativelanguage.googleapis.com/v1beta/openai/models');
    expect(providers.get('ollama')).toMatchObject({
      needsKey: false,
      keyCheck: null,
      baseUrl: 'http://127.0.0.1:11434/v1',
    });
    expect(providers.get('mistral').streamUsageOption).toBe(false);
  });
});

describe('the configuration', () => {
  test('overrides any field of a built-in provider', () => {
    const provider = providersOf({
      openai: {
        authHeader: 'API-Key',
        needsKey: false,
        headers: { 'X-Team': 'a' },
        keyShape: { prefix: 'k-', minLength: 3 },
        modelsUrl: null,
        models: ['one'],
        keyCheck: { url: 'https://check.example/key' },
        timeoutMs: 5,
      },
    }).get('openai');
    expect(provider).toEqual({
      name: 'openai',
      source: 'overridden',
      baseUrl: 'https://api.openai.com/v1',
      headers: { 'x-team': 'a' },
      builtInHeaders: {},
      dialects: { openai: { baseUrl: 'https://api.openai.com/v1', authHeader: 'api-key', headers: {} } },
      needsKey: false,
      keyShape: { prefixes: ['k-'], minLength: 3 },
      modelsUrl: null,
      modelsArePublic: false,
      models: ['one'],
      keyCheck: {
        method: 'GET',
        url: 'https://check.example/key',
        invalidStatuses: [401, 403],
        mustBeTrue: [],
        mustNotBeTrue: [],
      },
      streamUsageOption: true,
      onAbort: 'cancel',
      timeoutMs: 5,
    });
  });

  test('moves every address of a provider with its base URL, so that no key goes to the old host', () => {
    const providers = providersOf({
      openrouter: { baseUrl: 'http://127.0.0.1:9/v1/' },
      cohere: { baseUrl: 'http://127.0.0.1:9/compatibility/v1' },
    });
    expect(providers.get('openrouter')).toMatchObject({
      baseUrl: 'http://127.0.0.1:9/v1',
      modelsUrl: 'http://127.0.0.1:9/v1/models',
      keyCheck: { url: 'http://127.0.0.1:9/v1/key' },
    });
    expect(providers.get('cohere').keyCheck?.url).toBe('http://127.0.0.1:9/v1/check-api-key');
  });

  test('overrides the headers that openrouter gets by default, whatever their case', () => {
    const provider = providersOf({ openrouter: { headers: { 'HTTP-Referer': 'https://mine', 'X-Title': 'Mine' } } });
    expect(provider.get('openrouter').headers).toEqual({ 'http-referer': 'https://mine', 'x-title': 'Mine' });
  });

  test('can take a key check away', () => {
    expect(providersOf({ openai: { keyCheck: null } }).get('openai').keyCheck).toBeNull();
  });

  test('adds a provider that nobody knows', () => {
    const providers = providersOf({ 'my-llm': { baseUrl: 'https://llm.example/v1' } });
    expect(providers.get('my-llm')).toMatchObject({
      source: 'configured',
      modelsUrl: 'https://llm.example/v1/models',
      keyCheck: null,
      needsKey: true,
      keyShape: { minLength: 10 },
    });
    expect(providers.names().at(-1)).toBe('my-llm');
  });

  test('is refused where a new provider has no base URL, and a near name is suggested', () => {
    const error = errorOf(() => providersOf({ openia: {} }));
    expect(error.code).toBe('BAD_REQUEST');
    expect(error.message).toContain('"openia" has no baseUrl');
    expect(error.hint).toContain('did you mean "openai"?');
    expect(errorOf(() => providersOf({ zzzzzzzzzz: {} })).hint).toContain('providers.zzzzzzzzzz.baseUrl');
  });

  test('is refused where a base URL has a query', () => {
    expect(errorOf(() => providersOf({ openai: { baseUrl: 'https://x.example/v1?api-version=1' } })).code).toBe(
      'BAD_REQUEST',
    );
  });

  test('is refused where a header belongs to the connection', () => {
    const error = errorOf(() => providersOf({ openai: { headers: { 'Content-Length': '3' } } }));
    expect(error.message).toContain('"Content-Length"');
    expect(error.hint).toContain('providers.openai.headers');
    expect(errorOf(() => providersOf({ openai: { headers: { Host: 'x' } } })).message).toContain('"Host"');
  });

  test('is refused with the setting of its dialect', () => {
    const dialects = { anthropic: { baseUrl: 'https://a.example/v1', headers: { Host: 'x' } } };
    expect(errorOf(() => providersOf({ openai: { dialects } })).hint).toContain(
      'providers.openai.dialects.anthropic.headers',
    );
    const queried = { anthropic: { baseUrl: 'https://a.example/v1?x' } };
    expect(errorOf(() => providersOf({ openai: { dialects: queried } })).hint).toContain(
      'providers.openai.dialects.anthropic.baseUrl',
    );
  });
});

describe('looking up', () => {
  test('an unknown name is NOT_FOUND and names the nearest known one', () => {
    const error = errorOf(() => providersOf().get('opnrouter'));
    expect(error.code).toBe('NOT_FOUND');
    expect(error.hint).toBe('did you mean "openrouter"?');
  });

  test('an unknown name is shown without what could move a cursor', () => {
    expect(errorOf(() => providersOf().get('\u001b[2Jx')).message).toBe('unknown provider "[2Jx"');
  });

  test('names of JavaScript itself are no providers', () => {
    expect(providersOf().find('constructor')).toBeUndefined();
    expect(providersOf().find('__proto__')).toBeUndefined();
  });
});

describe('the dialects', () => {
  test('of the built-in providers begin where their own clients expect it', () => {
    const providers = providersOf();
    expect(providers.get('google').dialects).toEqual({
      openai: {
        baseUrl: 'https://generativelanguage.googleapis.com/v1beta/openai',
        authHeader: 'authorization',
        headers: {},
      },
      gemini: { baseUrl: 'https://generativelanguage.googleapis.com', authHeader: 'x-goog-api-key', headers: {} },
    });
    expect(providers.get('anthropic').dialects.anthropic).toMatchObject({
      baseUrl: 'https://api.anthropic.com',
      authHeader: 'x-api-key',
    });
    expect(providers.get('openrouter').dialects.anthropic).toMatchObject({
      baseUrl: 'https://openrouter.ai/api',
      authHeader: 'authorization',
    });
    expect(providers.get('groq').dialects.anthropic).toBeUndefined();
  });

  test('move with the base URL, so that a key never goes to the host that was replaced', () => {
    const providers = providersOf({ google: { baseUrl: 'http://127.0.0.1:9/v1beta/openai' } });
    expect(providers.get('google').dialects.gemini?.baseUrl).toBe('http://127.0.0.1:9');
  });

  test('can be configured for any provider', () => {
    const anthropic = { baseUrl: 'https://llm.example/anthropic/', headers: { 'X-Team': 'a' } };
    const { dialects } = providersOf({ lab: { baseUrl: 'https://llm.example/v1', dialects: { anthropic } } }).get(
      'lab',
    );
    expect(dialects.anthropic).toEqual({
      baseUrl: 'https://llm.example/anthropic',
      authHeader: 'x-api-key',
      headers: { 'x-team': 'a' },
    });
    expect(dialects.openai.baseUrl).toBe('https://llm.example/v1');
  });
});

test('a provider that refuses stream_options can be configured', () => {
  const providers = providersOf({ lab: { baseUrl: 'https://llm.example/v1', streamUsageOption: false } });
  expect(providers.get('lab').streamUsageOption).toBe(false);
  expect(providersOf({ openai: { streamUsageOption: false } }).get('openai').streamUsageOption).toBe(false);
});
