import { expect, it } from 'vitest';
import { BoundedMap } from '../../../src/base/bounded-map.ts';

it('a bounded map forgets what was used longest ago', () => {
  const evicted: [number, string][] = [];
  const map = new BoundedMap<string, number>(2, (value, key) => evicted.push([value, key]));
  map.set('a', 1);
  map.set('b', 2);
  expect(map.get('a')).toBe(1);
  map.set('c', 3);
  expect(map.has('b')).toBe(false);
  expect([...map]).toEqual([
    ['a', 1],
    ['c', 3],
  ]);
  expect(evicted).toEqual([[2, 'b']]);
});

it('setting a known key evicts nothing, and counts as a use', () => {
  const map = new BoundedMap<string, number>(2);
  map.set('a', 1);
  map.set('b', 2);
  map.set('a', 3);
  expect(map.size).toBe(2);
  map.set('c', 4);
  expect([...map].map(([key]) => key)).toEqual(['a', 'c']);
});

it('what is removed by hand is not evicted', () => {
  const evicted: string[] = [];
  const map = new BoundedMap<string, number>(2, (_value, key) => evicted.push(key));
  map.set('a', 1);
  expect(map.delete('a')).toBe(true);
  expect(map.delete('a')).toBe(false);
  map.set('b', 2);
  map.clear();
  expect(map.size).toBe(0);
  expect(map.get('b')).toBeUndefined();
  expect(evicted).toEqual([]);
});
