import { describe, expect, test } from 'vitest';
import {
  MAX_RESET_MS,
  parseGoDuration,
  parseProtobufDuration,
  parseReset,
  readAskedWait,
} from '../../../src/providers/reset-formats.ts';

const NOW = Date.parse('2026-06-15T12:00:00Z');

describe('a Go duration', () => {
  test.each([
    ['1s', 1000],
    ['6m0s', 360_000],
    ['12ms', 12],
    ['2m59.56s', 179_560],
    ['370ms', 370],
    ['1h2m3s', 3_723_000],
    ['7h12m0s', 25_920_000],
    ['1.5h', 5_400_000],
    ['250µs', 1],
    ['900ns', 1],
  ])('of %s is %i ms', (text, ms) => {
    expect(parseGoDuration(text)).toBe(ms);
  });

  test.each(['', '0s', '0', '59', '-5s', 's', '5', '1d', '1s ', '1s,2s', '9999999h', '1'.repeat(100) + 's', '1e9s'])(
    'of "%s" is unknown',
    (text) => {
      expect(parseGoDuration(text)).toBeNull();
    },
  );
});

describe('a protobuf duration', () => {
  test.each([
    ['26s', 26_000],
    ['20.04s', 20_040],
    ['0.000000001s', 1],
  ])('of %s is %i ms', (text, ms) => {
    expect(parseProtobufDuration(text)).toBe(ms);
  });

  test.each(['', '0s', '-1s', '26', '1m', '26 s', '1.0000000001s', '99999999999s'])('of "%s" is unknown', (text) => {
    expect(parseProtobufDuration(text)).toBeNull();
  });
});

describe('a reset header', () => {
  test.each([
    ['59', 'seconds', 59_000],
    ['33011.382867', 'seconds', 33_011_383],
    ['0.5', 'seconds', 500],
    [' 3 ', 'seconds', 3000],
    ['2026-06-15T12:00:25Z', 'rfc3339', 25_000],
    ['2026-06-15T14:00:25+02:00', 'rfc3339', 25_000],
    ['2026-06-15T12:00:00.250Z', 'rfc3339', 250],
    [String(NOW / 1000 + 90), 'epoch-seconds', 90_000],
    [String(NOW + 1234), 'epoch-milliseconds', 1234],
    [String(NOW / 1000 + 90), 'epoch-or-duration', 90_000],
    ['6m0s', 'epoch-or-duration', 360_000],
    ['6m0s', 'any', 360_000],
    ['12', 'any', 12_000],
    [String(NOW / 1000 + 90), 'any', 90_000],
    [String(NOW + 1234), 'any', 1234],
    ['2026-06-15T12:00:25Z', 'any', 25_000],
  ] as const)('of "%s" read as %s is %i ms away', (text, format, ms) => {
    expect(parseReset(text, format, NOW)).toBe(ms);
  });

  test.each([
    ['', 'seconds'],
    ['0', 'seconds'],
    ['-1', 'seconds'],
    ['1s', 'seconds'],
    ['1e3', 'seconds'],
    ['NaN', 'seconds'],
    ['Infinity', 'seconds'],
    [String(NOW + 1000), 'seconds'],
    ['2026-06-15T12:00:25Z', 'seconds'],
    ['59', 'go-duration'],
    ['2026-06-15T11:59:59Z', 'rfc3339'],
    ['2026-06-15', 'rfc3339'],
    ['2096-06-15T11:59:59Z', 'rfc3339'],
    ['2026-13-45T99:00:00Z', 'rfc3339'],
    [String(NOW / 1000 - 1), 'epoch-seconds'],
    [String(NOW + 1000), 'epoch-seconds'],
    ['59', 'epoch-seconds'],
    [String(NOW / 1000 + 90), 'epoch-milliseconds'],
    ['59', 'epoch-or-duration'],
    ['next week', 'any'],
    ['9'.repeat(300), 'any'],
  ] as const)('of "%s" read as %s is unknown', (text, format) => {
    expect(parseReset(text, format, NOW)).toBeNull();
  });

  test('is believed up to a month and a day', () => {
    expect(parseReset(String(MAX_RESET_MS / 1000), 'seconds', NOW)).toBe(MAX_RESET_MS);
    expect(parseReset(String(MAX_RESET_MS / 1000 + 1), 'seconds', NOW)).toBeNull();
  });
});

test('a Retry-After date is measured against the date of the answer, not against a wrong clock', () => {
  const wrongClock = NOW + 7_200_000;
  const headers = { 'retry-after': 'Mon, 15 Jun 2026 12:00:30 GMT', date: 'Mon, 15 Jun 2026 12:00:00 GMT' };
  expect(readAskedWait(headers, wrongClock)).toBe(30_000);
  expect(readAskedWait({ ...headers, date: 'garbage' }, NOW)).toBe(30_000);
});
