import { describe, expect, it } from 'vitest';
import { plainText } from '../../../src/base/plain-text.ts';

describe('plainText', () => {
  it('leaves ordinary text as it is, in any script', () => {
    expect(plainText('Grüße, 世界 👋', 40)).toBe('Grüße, 世界 👋');
  });

  it('keeps a stranger from forging a line, moving the cursor or turning the text round', () => {
    expect(plainText('a\nb\r\nc', 40)).toBe('a b c');
    expect(plainText('\u001b[2Jgone\u0007\u0000', 40)).toBe('[2Jgone');
    expect(plainText('a\u2028b\u2029c\u009bd\u202ee\u2066f', 40)).toBe('a b c d e f');
  });

  it('cuts what is too long and says so', () => {
    expect(plainText('abcdef', 6)).toBe('abcdef');
    expect(plainText('abcdefg', 6)).toBe('abcde…');
    expect(plainText('x'.repeat(1_000_000), 10)).toHaveLength(10);
  });

  it('is empty for nothing but unprintable text', () => {
    expect(plainText('\n\u0000\t', 10)).toBe('');
  });
});
