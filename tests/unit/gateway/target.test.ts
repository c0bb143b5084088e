import { describe, expect, it } from 'vitest';
import { configSchema } from '../../../src/base/config-schema.ts';
import { dialectOf, keysInQuery, parseTarget, type Target } from '../../../src/gateway/target.ts';
import { createProviders } from '../../../src/providers/registry.ts';

const PROVIDERS = createProviders(configSchema.parse({}));

const parse = (url: string, headers: Readonly<Record<string, string>> = {}): Target =>
  parseTarget(url, headers, {
    dialectsOf: (name) => PROVIDERS.find(name)?.dialects,
    defaultProvider: 'openrouter',
  });

/** Returns a target in short: `provider dialect path?query`, or its kind. */
function short(target: Target): string {
  return target.kind === 'forward'
    ? `${target.provider} ${target.dialect} ${target.path}${target.query}`
    : target.kind === 'management'
      ? `management ${target.path}${target.query}`
      : target.kind;
}

const VERSION = { 'anthropic-version': '2023-06-01' };
const GOOGLE_KEY = { 'x-goog-api-key': 'x' };

describe('the path of a request', () => {
  it.each([
    ['/openai/v1/chat/completions', {}, 'openai openai /chat/completions'],
    ['/openai/chat/completions', {}, 'openai openai /chat/completions'],
    ['/openai/v1/responses?a=1&b=%20', {}, 'openai openai /responses?a=1&b=%20'],
    ['/openrouter/api/v1/models', {}, 'openrouter openai /models'],
    ['/openrouter/v1/models', {}, 'openrouter openai /models'],
    ['/openrouter/v1/models/openai/gpt-5/endpoints', {}, 'openrouter openai /models/openai/gpt-5/endpoints'],
    ['/groq/openai/v1/models', {}, 'groq openai /models'],
    ['/deepseek/v1/chat/completions', {}, 'deepseek openai /chat/completions'],
    ['/openai//v1//models', {}, 'openai openai /models'],
    ['/openai/v1/models/', {}, 'openai openai /models/'],
    ['/openai/v1/scrape/https://example.com//x/', {}, 'openai openai /scrape/https://example.com//x/'],
    ['/openai//v1//chat//completions', {}, 'openai openai /chat/completions'],
    ['/google/v1beta//models/g:generateContent', {}, 'google gemini /v1beta/models/g:generateContent'],
    ['/anthropic/v1/messages/?beta=true', VERSION, 'anthropic anthropic /v1/messages/?beta=true'],
    ['/openai/', {}, 'openai openai /'],
    ['/google/v1beta/models/', {}, 'google gemini /v1beta/models/'],
    ['/v1/chat/completions', {}, 'openrouter openai /chat/completions'],
    ['/v1/models', VERSION, 'anthropic anthropic /v1/models'],
    ['/openrouter/api/v1/messages', VERSION, 'openrouter anthropic /v1/messages'],
    ['/deepseek/anthropic/v1/messages', VERSION, 'deepseek anthropic /v1/messages'],
    ['/groq/v1/messages', VERSION, 'groq openai /messages'],
    ['/v1/models', GOOGLE_KEY, 'google gemini /v1/models'],
    ['/v1/models', {}, 'openrouter openai /models'],
    ['/v1beta/models/m:generateContent', {}, 'google gemini /v1beta/models/m:generateContent'],
    ['/v1beta/openai/chat/completions', {}, 'google openai /chat/completions'],
    [
      '/google/v1beta/models/m:streamGenerateContent?alt=sse',
      {},
      'google gemini /v1beta/models/m:streamGenerateContent?alt=sse',
    ],
    ['/google/models/m:generateContent', {}, 'google gemini /v1beta/models/m:generateContent'],
    ['/google/v1/models', GOOGLE_KEY, 'google gemini /v1/models'],
    ['/google/v1beta/openai/chat/completions', {}, 'google openai /chat/completions'],
    ['/google/openai/chat/completions', {}, 'google openai /chat/completions'],
    ['/google/chat/completions', {}, 'google openai /chat/completions'],
    ['/google/upload/v1beta/files', {}, 'google gemini /upload/v1beta/files'],
    ['/upload/v1beta/files?upload_id=a', GOOGLE_KEY, 'google gemini /upload/v1beta/files?upload_id=a'],
    ['/upload/x', {}, 'unknown'],
    ['/', {}, 'root'],
    ['/metrics', {}, 'metrics'],
    ['/healthz', {}, 'health'],
    ['/readyz?verbose', {}, 'readiness'],
    ['/api/v1/status', {}, 'management /status'],
    ['/api/v1/openapi.json?x=1', {}, 'management /openapi.json?x=1'],
    ['/nobody/v1/models', {}, 'unknown'],
  ])('%s leads to its provider (%j)', (url, headers, expected) => {
    expect(short(parse(url, headers))).toBe(expected);
  });

  it.each(['/anthropic/v1/messages', '/anthropic/messages', '/anthropic/v1/v1/messages'])(
    "takes every spelling of Anthropic's base URL: %s",
    (url) => expect(short(parse(url, VERSION))).toBe('anthropic anthropic /v1/messages'),
  );

  it.each(['/v1/messages', '/messages', '/v1/v1/messages'])('takes them without a provider too: %s', (url) => {
    expect(short(parse(url, VERSION))).toBe('anthropic anthropic /v1/messages');
  });

  it.each([
    'http://evil.example/v1/models',
    '//evil.example/v1/models',
    '*',
    'v1/models',
    '/openai/../../etc/passwd',
    '/openai/./models',
    '/openai/..;/models',
    '/openai/%2e%2e;x=1/models',
    '/openai/%2e%2e/models',
    '/openai/%2E./models',
    '/openai/..%2fmodels',
    '/openai/%252e%252e/models',
    '/openai/%5c..%5c/models',
    '/openai\\..\\models',
    '/openai/a%00b',
    '/openai/a%0d%0ab',
    '/openai/%zz',
    '/openai/models#x',
    `/openai/${'a'.repeat(20_000)}`,
    '/openai/%25252525252e',
    `/openai/aip-${'a'.repeat(43)}/v1/models`,
    `/openai/%61ip-${'a'.repeat(43)}/v1/models`,
    `/openai/v1/aip-${'a'.repeat(42)}%2561`,
  ])('refuses %s', (url) => {
    expect(parse(url).kind).toBe('malformed');
  });

  it('passes an encoded slash that climbs nowhere on as it is', () => {
    expect(short(parse('/openai/v1/models/org%2Fmodel'))).toBe('openai openai /models/org%2Fmodel');
  });
});

describe('the key in a query', () => {
  it('is found however it is encoded, and never passed on', () => {
    const url = '/google/v1beta/models/m:generateContent?alt=sse&key=one&%6bey=two&keys=kept';
    expect(keysInQuery(url)).toEqual(['one', 'two']);
    expect(short(parse(url))).toBe('google gemini /v1beta/models/m:generateContent?alt=sse&keys=kept');
  });
});

describe('the dialect of an error', () => {
  it.each([
    ['/anthropic/v1/messages', {}, 'anthropic'],
    ['/openai/v1/models', {}, 'openai'],
    ['/anthropic/v1/messages', VERSION, 'anthropic'],
    ['/v1/messages', {}, 'anthropic'],
    ['//x', {}, 'openai'],
    ['/google/v1beta/models/m:generateContent', {}, 'gemini'],
    ['/v1beta/models', {}, 'gemini'],
  ])('of %s (%j) is %s', (url, headers, dialect) => {
    expect(dialectOf(url, headers)).toBe(dialect);
  });
});

it('a target that was parsed before follows the configuration, and the headers of the request', () => {
  const configured = (baseUrl: string | undefined) => {
    const providers = createProviders(configSchema.parse(baseUrl ? { providers: { mine: { baseUrl } } } : {}));
    return (headers: Readonly<Record<string, string>> = {}): string =>
      short(
        parseTarget('/mine/v2/messages', headers, {
          dialectsOf: (name) => providers.find(name)?.dialects,
          defaultProvider: 'mine',
        }),
      );
  };
  const before = configured('http://127.0.0.1:1/v1');
  const after = configured('http://127.0.0.1:1/v2');
  const without = configured(undefined);
  expect([before(), before(), after(), after(), without(), before()]).toEqual([
    'mine openai /v2/messages',
    'mine openai /v2/messages',
    'mine openai /messages',
    'mine openai /messages',
    'unknown',
    'mine openai /v2/messages',
  ]);
  expect([short(parse('/openrouter/v1/models')), short(parse('/openrouter/v1/models', VERSION))]).toEqual([
    'openrouter openai /models',
    'openrouter anthropic /v1/models',
  ]);
});
