import { describe, expect, it } from 'vitest';
import { nearest, nearestProvider } from '../../../src/base/nearest.ts';

const known = ['openrouter', 'openai', 'anthropic', 'google'];

describe('nearest', () => {
  it('finds the name that was meant, whatever its case', () => {
    expect(nearest('openruoter', known)).toBe('openrouter');
    expect(nearest('OpenAI', known)).toBe('openai');
    expect(nearest('gogle', known)).toBe('google');
  });

  it('finds nothing where nothing is near', () => {
    expect(nearest('zzzzzz', known)).toBeUndefined();
    expect(nearest('q', known)).toBeUndefined();
    expect(nearest('', known)).toBeUndefined();
    expect(nearest('openai', [])).toBeUndefined();
  });

  it('takes a product for its maker', () => {
    expect(nearestProvider('claude', known)).toBe('anthropic');
    expect(nearestProvider('Gemini', known)).toBe('google');
    expect(nearestProvider('kimi', known)).toBeUndefined();
    expect(nearestProvider('opnai', known)).toBe('openai');
  });

  it('takes the first of two that are as near', () => {
    expect(nearest('cat', ['bat', 'rat'])).toBe('bat');
  });
});
