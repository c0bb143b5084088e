import { expect, test } from 'vitest';
import { readRetryAfter } from '../../../src/providers/retry-after.ts';

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);
const DAY_MS = 24 * 60 * 60 * 1000;

test.each([
  ['seconds', '7', 7000],
  ['parts of a second', '0.5', 500],
  ['zero', '0', 0],
  ['a date', 'Fri, 02 Jan 2026 03:04:35 GMT', 30_000],
  ['a date that has passed', 'Fri, 02 Jan 2026 03:00:00 GMT', 0],
  ['18 days', String((18 * DAY_MS) / 1000), DAY_MS],
  ['a date in 18 days', 'Tue, 20 Jan 2026 03:04:05 GMT', DAY_MS],
  ['a negative number', '-5', undefined],
  ['words', 'soon', undefined],
  ['a number with words', '7 apples', undefined],
  ['nothing', '', undefined],
  ['a date without a zone', 'Fri Jan  2 03:04:35 2026', undefined],
  ['a date that is none', 'Fri, 99 Foo 2026', undefined],
])('%s: %j', (_name, value, expected) => {
  expect(readRetryAfter({ 'retry-after': value }, NOW)).toBe(expected);
});

test('no header is no wait', () => {
  expect(readRetryAfter({}, NOW)).toBeUndefined();
});

test('milliseconds go before seconds, unless they make no sense', () => {
  expect(readRetryAfter({ 'retry-after-ms': '1500', 'retry-after': '9' }, NOW)).toBe(1500);
  expect(readRetryAfter({ 'retry-after-ms': 'x', 'retry-after': '9' }, NOW)).toBe(9000);
});
