import { expect, it } from 'vitest';
import { parseMoment } from '../../../src/base/moment.ts';

const NOW = Date.parse('2026-11-28T12:00:00Z');

it('a moment is a local date or time, a time with its zone, or so long ago', () => {
  expect(parseMoment('2026-11-21', NOW)).toBe(new Date(2026, 10, 21).getTime());
  expect(parseMoment('2026-11-21T10:00', NOW)).toBe(new Date(2026, 10, 21, 10).getTime());
  expect(parseMoment('2026-11-21T10:00Z', NOW)).toBe(Date.parse('2026-11-21T10:00:00Z'));
  expect(parseMoment('90m', NOW)).toBe(NOW - 5_400_000);
  expect(parseMoment('999999w', NOW)).toBe(0);
});

it('anything else is not a moment', () => {
  for (const text of ['', 'yesterday', '7', '7x', '2026-02-30', '2026-13-01', '1960-01-01', '2026-11-21T25:00', '-3d'])
    expect(parseMoment(text, NOW), text).toBeUndefined();
});
