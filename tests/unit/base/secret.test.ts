import { format, inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { maskKey, Secret, SECRET_PLACEHOLDER } from '../../../src/base/secret.ts';

const VALUE = 'sk-or-v1-abcdefghijklmnop';

describe('Secret', () => {
  it('gives its value to reveal() only', () => {
    expect(new Secret(VALUE).reveal()).toBe(VALUE);
  });

  it('shows a placeholder in every accidental rendering', () => {
    const secret = new Secret(VALUE);
    const renderings = [
      String(secret),
      secret.toString(),
      JSON.stringify(secret),
      JSON.stringify({ deep: [secret] }),
      inspect(secret),
      inspect({ deep: { secret } }, { showHidden: true, depth: null, getters: true }),
      format('%s %o %j', secret, secret, secret),
      JSON.stringify(Object.entries(secret)),
    ];
    for (const text of renderings) expect(text).not.toContain('abcdef');
    expect(String(secret)).toBe(SECRET_PLACEHOLDER);
    expect(JSON.stringify({ secret })).toBe(`{"secret":"${SECRET_PLACEHOLDER}"}`);
  });

  it('shows a placeholder when it is joined to text', () => {
    const parts: unknown[] = ['key: ', new Secret(VALUE)];
    expect(parts.join('')).toBe(`key: ${SECRET_PLACEHOLDER}`);
  });

  it('is not cloned with its value', () => {
    expect(inspect(structuredClone(new Secret(VALUE)), { showHidden: true })).not.toContain('abcdef');
  });

  it('tells its length, and whether another holds the same', () => {
    expect(new Secret(VALUE).length).toBe(VALUE.length);
    expect(new Secret(VALUE).equals(new Secret(VALUE))).toBe(true);
    expect(new Secret(VALUE).equals(new Secret(`${VALUE}x`))).toBe(false);
  });
});

describe('maskKey', () => {
  it('shows the first 6 and the last 4', () => {
    expect(maskKey(new Secret('sk-or-v1-abcdefghijkl'))).toBe('sk-or-****ijkl');
  });

  it('shows nothing of a key so short that this would be most of it', () => {
    expect(maskKey(new Secret('a'.repeat(14)))).toBe('****');
    expect(maskKey(new Secret('abcdefghijklmno'))).toBe('abcdef****lmno');
    expect(maskKey(new Secret(''))).toBe('****');
  });
});
