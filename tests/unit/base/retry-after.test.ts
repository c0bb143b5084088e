import { describe, expect, it, test } from 'vitest';
import {
  MAX_RETRY_AFTER_MS,
  parseHttpDate,
  parseRetryAfter,
  parseRetryAfterMs,
} from '../../../src/base/retry-after.ts';

const NOW = Date.parse('2026-11-28T00:00:00Z');

/** Returns the year that a two-digit one means. */
function year(text: string): number {
  return new Date(parseHttpDate(`Monday, 01-Jan-${text} 00:00:00 GMT`, NOW) ?? 0).getUTCFullYear();
}

describe('Retry-After', () => {
  test.each([
    ['0', 0],
    ['120', 120_000],
    [' 7 ', 7000],
    ['007', 7000],
    [30, 30_000],
    [0, 0],
  ])('%j is that many seconds', (value, expected) => {
    expect(parseRetryAfter(value, NOW)).toBe(expected);
  });

  test.each([
    ['1.5', 1500],
    ['0.0004', 1],
    [0.25, 250],
  ])('%j is a fraction, as providers send it, and rounded up to a millisecond', (value, expected) => {
    expect(parseRetryAfter(value, NOW)).toBe(expected);
  });

  test.each([
    ['IMF-fixdate', 'Sat, 28 Nov 2026 00:00:30 GMT'],
    ['RFC 850', 'Saturday, 28-Nov-26 00:00:30 GMT'],
    ['asctime', 'Sat Nov 28 00:00:30 2026'],
  ])('a date in the form of %s is the time until then', (_form, value) => {
    expect(parseRetryAfter(value, NOW)).toBe(30_000);
  });

  test.each(['Sun, 06 Nov 1994 08:49:37 GMT', 'Sunday, 06-Nov-94 08:49:37 GMT', 'Sun Nov  6 08:49:37 1994'])(
    'a date in the past, %j, is no wait',
    (value) => {
      expect(parseRetryAfter(value, NOW)).toBe(0);
    },
  );

  test.each([
    '',
    ' ',
    '-5',
    '+5',
    '5s',
    '7 apples',
    '.5',
    '5.',
    '1e3',
    '0x10',
    '1,5',
    '2026-12-25',
    '2026-12-25T00:00:00Z',
    '12/25/2099',
    'tomorrow',
    'Sat, 28 Nov 2026 00:00:30',
    'Sat, 28 Nov 2026 00:00:30 CET',
    'sat, 28 nov 2026 00:00:30 gmt',
    'Sat, 28 Nov 26 00:00:30 GMT',
    'Sat, 31 Feb 2026 00:00:30 GMT',
    'Sat, 00 Nov 2026 00:00:30 GMT',
    'Sat, 28 Foo 2026 00:00:30 GMT',
    'Sat, 28 Nov 2026 24:00:00 GMT',
    'Sat, 28 Nov 2026 00:60:00 GMT',
    '9'.repeat(65),
    'NaN',
    'Infinity',
    null,
    undefined,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    -1,
  ])('%j is ignored', (value) => {
    expect(parseRetryAfter(value, NOW)).toBeUndefined();
  });

  test.each(['99999999', '9'.repeat(64), 'Fri, 25 Dec 2099 00:00:00 GMT', 1e12])(
    '%j is cut to the longest wait that is believed',
    (value) => {
      expect(parseRetryAfter(value, NOW)).toBe(MAX_RETRY_AFTER_MS);
    },
  );

  it('in milliseconds is its own header, with the same bounds', () => {
    expect(parseRetryAfterMs('1500')).toBe(1500);
    expect(parseRetryAfterMs('0.2')).toBe(1);
    expect(parseRetryAfterMs('-1')).toBeUndefined();
    expect(parseRetryAfterMs(null)).toBeUndefined();
    expect(parseRetryAfterMs('9'.repeat(20))).toBe(MAX_RETRY_AFTER_MS);
  });
});

describe('an HTTP date', () => {
  it('of the three forms is the same instant', () => {
    const instant = Date.parse('1994-11-06T08:49:37Z');
    expect(parseHttpDate('Sun, 06 Nov 1994 08:49:37 GMT', NOW)).toBe(instant);
    expect(parseHttpDate('Sunday, 06-Nov-94 08:49:37 GMT', NOW)).toBe(instant);
    expect(parseHttpDate('Sun Nov  6 08:49:37 1994', NOW)).toBe(instant);
  });

  it('with a two-digit year is at most 50 years ahead', () => {
    expect(year('76')).toBe(2076);
    expect(year('77')).toBe(1977);
    expect(year('00')).toBe(2000);
  });

  it('may have a leap second, and a leap day only in a leap year', () => {
    expect(parseHttpDate('Sat, 31 Dec 2016 23:59:60 GMT', NOW)).toBe(Date.parse('2017-01-01T00:00:00Z'));
    expect(parseHttpDate('Thu, 29 Feb 2024 00:00:00 GMT', NOW)).toBe(Date.parse('2024-02-29T00:00:00Z'));
    expect(parseHttpDate('Sat, 29 Feb 2025 00:00:00 GMT', NOW)).toBeUndefined();
    expect(parseHttpDate('Mon, 29 Feb 2100 00:00:00 GMT', NOW)).toBeUndefined();
    expect(parseHttpDate('Sat, 01 Jan 0050 00:00:00 GMT', NOW)).toBe(Date.parse('0050-01-01T00:00:00Z'));
  });
});
