import { describe, expect, test } from 'vitest';
import { readWindows, refusedWait } from '../../../src/providers/limit-windows.ts';

const NOW = Date.parse('2026-06-15T12:00:10Z');

/** Returns what matters of each window, its reset as milliseconds from now. */
function read(provider: string, headers: Record<string, string>): unknown[] {
  return readWindows(provider, headers, NOW).map(({ name, unit, per, limit, remaining, percent, resetAt }) => [
    name,
    unit,
    per,
    limit,
    remaining,
    percent,
    resetAt === null ? null : resetAt - NOW,
  ]);
}

describe('the windows of', () => {
  test('OpenAI count requests and tokens, their resets as Go durations', () => {
    expect(
      read('openai', {
        'x-ratelimit-limit-requests': '60',
        'x-ratelimit-remaining-requests': '59',
        'x-ratelimit-reset-requests': '1s',
        'x-ratelimit-limit-tokens': '150000',
        'x-ratelimit-remaining-tokens': '75000',
        'x-ratelimit-reset-tokens': '6m0s',
        'x-ratelimit-limit-project-tokens': '1000',
        'x-ratelimit-remaining-project-tokens': '0',
        'x-ratelimit-reset-project-tokens': '12ms',
      }),
    ).toEqual([
      ['requests', 'requests', null, 60, 59, 1.7, 1000],
      ['tokens', 'tokens', null, 150_000, 75_000, 50, 360_000],
      ['project-tokens', 'tokens', null, 1000, 0, 100, 12],
    ]);
  });

  test('Anthropic tell input from output tokens, their resets as RFC 3339', () => {
    const windows = read('anthropic', {
      'anthropic-ratelimit-requests-limit': '50',
      'anthropic-ratelimit-requests-remaining': '49',
      'anthropic-ratelimit-requests-reset': '2026-06-15T12:00:20Z',
      'anthropic-ratelimit-input-tokens-limit': '40000',
      'anthropic-ratelimit-input-tokens-remaining': '10000',
      'anthropic-ratelimit-input-tokens-reset': '2026-06-15T12:01:10Z',
      'anthropic-ratelimit-output-tokens-limit': '8000',
      'anthropic-ratelimit-output-tokens-remaining': '8000',
      'anthropic-ratelimit-output-tokens-reset': '2026-06-15T12:00:10Z',
    });
    expect(windows).toEqual([
      ['requests', 'requests', null, 50, 49, 2, 10_000],
      ['input-tokens', 'input-tokens', null, 40_000, 10_000, 75, 60_000],
      ['output-tokens', 'output-tokens', null, 8000, 8000, 0, null],
    ]);
  });

  test('an Anthropic subscription are a used share and an epoch in seconds', () => {
    expect(
      read('anthropic', {
        'anthropic-ratelimit-unified-5h-utilization': '0.42',
        'anthropic-ratelimit-unified-5h-reset': String(NOW / 1000 + 60),
        'anthropic-ratelimit-unified-7d-utilization': '1.07',
      }),
    ).toEqual([
      ['unified-5h', 'usage', null, null, null, 42, 60_000],
      ['unified-7d', 'usage', null, null, null, 100, null],
    ]);
  });

  test('Groq are a day of requests and a minute of tokens under the names of OpenAI', () => {
    expect(
      read('groq', {
        'x-ratelimit-limit-requests': '14400',
        'x-ratelimit-remaining-requests': '14370',
        'x-ratelimit-reset-requests': '2m59.56s',
        'x-ratelimit-limit-tokens': '18000',
        'x-ratelimit-remaining-tokens': '17997',
        'x-ratelimit-reset-tokens': '7.66s',
      }),
    ).toEqual([
      ['requests', 'requests', 'day', 14_400, 14_370, 0.2, 179_560],
      ['tokens', 'tokens', 'minute', 18_000, 17_997, 0, 7660],
    ]);
  });

  test('Mistral end with the minute of the clock, or by size in seconds', () => {
    expect(
      read('mistral', {
        'x-ratelimit-limit-req-minute': '60',
        'x-ratelimit-remaining-req-minute': '30',
        'ratelimitbysize-limit-month': '1000000',
        'ratelimitbysize-remaining-month': '999000',
        'ratelimitbysize-reset-minute': '50',
      }),
    ).toEqual([
      ['requests', 'requests', 'minute', 60, 30, 50, 50_000],
      ['by-size-minute', 'tokens', 'minute', null, null, null, 50_000],
      ['by-size-month', 'tokens', 'month', 1_000_000, 999_000, 0.1, null],
    ]);
  });

  test('Cerebras are days and minutes, their resets as fractional seconds', () => {
    expect(
      read('cerebras', {
        'x-ratelimit-limit-requests-day': '14400',
        'x-ratelimit-remaining-requests-day': '14399',
        'x-ratelimit-reset-requests-day': '33011.382867',
        'x-ratelimit-limit-tokens-minute': '60000',
        'x-ratelimit-remaining-tokens-minute': '59000',
        'x-ratelimit-reset-tokens-minute': '11.38',
      }),
    ).toEqual([
      ['requests-day', 'requests', 'day', 14_400, 14_399, 0, 33_011_383],
      ['tokens-minute', 'tokens', 'minute', 60_000, 59_000, 1.7, 11_380],
    ]);
  });

  test('OpenRouter reset at an epoch in milliseconds', () => {
    expect(
      read('openrouter', {
        'x-ratelimit-limit': '20',
        'x-ratelimit-remaining': '0',
        'x-ratelimit-reset': String(NOW + 30_000),
      }),
    ).toEqual([['requests', 'requests', null, 20, 0, 100, 30_000]]);
  });

  test('Azure reset in whole seconds, of which -1 and 0 mean nothing', () => {
    const headers = { 'x-ratelimit-limit-requests': '60', 'x-ratelimit-remaining-requests': '30' };
    expect(read('azure', { ...headers, 'x-ratelimit-reset-requests': '59' })[0]).toContain(59_000);
    for (const sentinel of ['-1', '0', '']) {
      expect(read('azure', { ...headers, 'x-ratelimit-reset-requests': sentinel })).toEqual([
        ['requests', 'requests', null, 60, 30, 50, null],
      ]);
    }
  });

  test('xAI, Together, Fireworks, Cohere and GitHub are read by their own names', () => {
    expect(read('xai', { 'x-ratelimit-reset-requests': String(NOW / 1000 + 5) })[0]).toContain(5000);
    expect(
      read('together', { 'x-ratelimit-limit': '10', 'x-ratelimit-remaining': '9', 'x-tokenlimit-limit': '5' }),
    ).toEqual([
      ['requests', 'requests', 'second', 10, 9, 10, null],
      ['tokens', 'tokens', 'second', 5, null, null, null],
    ]);
    expect(read('fireworks', { 'x-ratelimit-limit-tokens-prompt': '60000' })).toEqual([
      ['tokens-prompt', 'input-tokens', null, 60_000, null, null, null],
    ]);
    expect(
      read('cohere', {
        'x-trial-endpoint-call-limit': '40',
        'x-trial-endpoint-call-remaining': '39',
        'x-endpoint-monthly-call-limit': '1000',
      }),
    ).toEqual([
      ['trial-calls', 'requests', null, 40, 39, 2.5, null],
      ['monthly-calls', 'requests', 'month', 1000, null, null, null],
    ]);
    expect(
      read('github', {
        'x-ratelimit-limit-requests': '20',
        'x-ratelimit-remaining-requests': '5',
        'x-ratelimit-renewalperiod-requests': '60',
        'x-ratelimit-timeremaining': '42',
      })[0],
    ).toEqual(['requests', 'requests', 'minute', 20, 5, 75, 42_000]);
  });

  test('a provider that sends none are none, whatever stands in the headers', () => {
    const headers = { 'x-ratelimit-limit-requests': '60', 'x-ratelimit-remaining-requests': '1' };
    for (const provider of ['google', 'deepseek', 'nvidia', 'zai', 'huggingface'])
      expect(read(provider, headers)).toEqual([]);
  });

  test('a provider that nobody knows are read by the names of OpenAI, in whatever format', () => {
    const headers = { 'x-ratelimit-limit-requests': '60', 'x-ratelimit-remaining-requests': '59' };
    expect(read('my-llm', { ...headers, 'x-ratelimit-reset-requests': '6m0s' })[0]).toContain(360_000);
    expect(read('my-llm', { ...headers, 'x-ratelimit-reset-requests': '30' })[0]).toContain(30_000);
    expect(read('constructor', { ...headers, 'x-ratelimit-reset-requests': '30' })[0]).toContain(30_000);
  });
});

test.each(['', '-5', '1e9', 'NaN', '99999999999999999999', '0x10', 'many'])('a count of "%s" is unknown', (count) => {
  expect(read('openai', { 'x-ratelimit-limit-requests': count, 'x-ratelimit-remaining-requests': count })).toEqual([]);
});

test('more left than the limit is nothing used', () => {
  expect(read('openai', { 'x-ratelimit-limit-requests': '10', 'x-ratelimit-remaining-requests': '15' })).toEqual([
    ['requests', 'requests', null, 10, 15, 0, null],
  ]);
});

/** Returns the headers of OpenAI for what is left of each window. */
function openai(requests: string, tokens: string): Record<string, string> {
  return {
    'x-ratelimit-remaining-requests': requests,
    'x-ratelimit-reset-requests': '10s',
    'x-ratelimit-remaining-tokens': tokens,
    'x-ratelimit-reset-tokens': '40s',
  };
}

describe('the wait of a refused call', () => {
  test('is that of the window with nothing left', () => {
    expect(refusedWait('openai', openai('0', '5'), NOW)).toEqual({ waitMs: 10_000, daily: false });
    expect(refusedWait('openai', openai('5', '0'), NOW)).toEqual({ waitMs: 40_000, daily: false });
  });

  test('is the longest of several with nothing left', () => {
    expect(refusedWait('openai', openai('0', '0'), NOW)).toEqual({ waitMs: 40_000, daily: false });
  });

  test('is the shortest reset where nothing says what is left', () => {
    expect(refusedWait('openai', openai('', ''), NOW)).toEqual({ waitMs: 10_000, daily: false });
  });

  test('is not told where every window has something left', () => {
    expect(refusedWait('openai', openai('3', '5'), NOW)).toBeNull();
  });

  test('is never the refill of the day bucket of Groq', () => {
    const headers = { 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '23h59m0s' };
    expect(refusedWait('groq', headers, NOW)).toBeNull();
  });

  test('knows a day of Cerebras from a minute', () => {
    const headers = { 'x-ratelimit-remaining-requests-day': '0', 'x-ratelimit-reset-requests-day': '33011.4' };
    expect(refusedWait('cerebras', headers, NOW)).toEqual({ waitMs: 33_011_400, daily: true });
  });
});
