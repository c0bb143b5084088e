import { describe, expect, it } from 'vitest';
import { mapConcurrently } from '../../../src/base/map-concurrently.ts';

describe('mapConcurrently', () => {
  it('keeps the order of the items, whichever ends first', async () => {
    const doubled = await mapConcurrently([3, 1, 2], 3, async (n) => {
      for (let turn = 0; turn < n; turn += 1) await new Promise(setImmediate);
      return n * 2;
    });
    expect(doubled).toStrictEqual([6, 2, 4]);
  });

  it('never works on more items at once than allowed, and always on as many while there are some', async () => {
    let now = 0;
    const seen: number[] = [];
    await mapConcurrently(Array.from({ length: 20 }), 4, async () => {
      now += 1;
      seen.push(now);
      await new Promise(setImmediate);
      now -= 1;
    });
    expect(Math.max(...seen)).toBe(4);
    expect(seen).toHaveLength(20);
  });

  it('does nothing for no items', async () => {
    await expect(mapConcurrently([], 4, () => Promise.reject(new Error('never called')))).resolves.toStrictEqual([]);
  });

  it('rejects with the first failure and begins no further item', async () => {
    const begun: number[] = [];
    const failing = mapConcurrently([1, 2, 3, 4, 5, 6], 2, async (n) => {
      begun.push(n);
      await new Promise(setImmediate);
      if (n === 1) throw new Error('the first');
      await new Promise(setImmediate);
    });
    await expect(failing).rejects.toThrow('the first');
    for (let turn = 0; turn < 10; turn += 1) await new Promise(setImmediate);
    expect(begun).toStrictEqual([1, 2]);
  });
});
