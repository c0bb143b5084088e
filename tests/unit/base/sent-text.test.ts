import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { SentText } from '../../../src/base/sent-text.ts';

const LETTERS = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';

test('a text holds every piece of itself, also after many different ones', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 200, maxLength: 400, unit: 'binary' }), (text) => {
      const sent = new SentText(text);
      for (let at = 0; at + 12 <= text.length; at += 1)
        expect(sent.holds(text.slice(at, at + 12 + (at % 40)))).toBe(true);
    }),
  );
});

test('a text holds no piece that is not in it, also after many different ones', () => {
  const sent = new SentText(LETTERS);
  const wrong = Array.from({ length: 1000 }, (_, at) => `${LETTERS.slice(at % 40, (at % 40) + 10)}-${at}`);
  expect(wrong.filter((piece) => sent.holds(piece))).toEqual([]);
});

test('a short piece is searched for as it is, however many there were', () => {
  const sent = new SentText(LETTERS);
  for (let at = 0; at < 100; at += 1) sent.holds(`not-in-it-${at}-not`);
  expect(sent.holds('abcdef')).toBe(true);
  expect(sent.holds('fedcba')).toBe(false);
});

test('an empty text holds nothing', () => {
  const sent = new SentText('');
  for (let at = 0; at < 100; at += 1) expect(sent.holds(`some-piece-number-${at}`)).toBe(false);
});
