import { describe, expect, test } from 'vitest';
import { routesOf } from '../../../src/completions/route.ts';

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
