import { expect, it } from 'vitest';
import { backoffMs } from '../../../src/base/backoff.ts';

const BOUNDS = { firstMs: 1000, maxMs: 60_000, jitter: 0.2 };

it('a wait doubles with each failure in a row, up to its limit', () => {
  const waits = [0, 1, 2, 3, 6, 7, 100, 1e9].map((failures) => backoffMs(BOUNDS, failures, () => 0));
  expect(waits).toEqual([1000, 1000, 2000, 4000, 32_000, 60_000, 60_000, 60_000]);
});

it('randomness makes a wait shorter by its share, and never longer', () => {
  expect(backoffMs(BOUNDS, 1, () => 0.5)).toBe(900);
  expect(backoffMs({ ...BOUNDS, jitter: 1 }, 3, () => 0.75)).toBe(1000);
  expect(backoffMs({ ...BOUNDS, jitter: 0 }, 3, () => 0.75)).toBe(4000);
});

it('no wait is shorter than the shortest', () => {
  const bounds = { firstMs: 4000, maxMs: 300_000, minMs: 2000, jitter: 1 };
  expect(backoffMs(bounds, 1, () => 0.5)).toBe(3000);
  expect(backoffMs(bounds, 1, () => 0.9999999)).toBe(2000);
  expect(backoffMs({ ...bounds, firstMs: 10 }, 1, () => 0)).toBe(2000);
});
