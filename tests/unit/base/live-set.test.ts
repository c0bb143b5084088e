import { expect, test } from 'vitest';
import { LiveSet } from '../../../src/base/live-set.ts';

test('a live set holds what was added and not removed, in whatever order that happens', () => {
  const set = new LiveSet<number>();
  const remove = [1, 2, 3, 4].map((member) => set.add(member));
  remove[1]?.();
  remove[3]?.();
  set.add(5);
  expect(new Set(set.members())).toEqual(new Set([1, 3, 5]));
  expect(set.size).toBe(3);
});

test('removing a member twice removes no other', () => {
  const set = new LiveSet<string>();
  const remove = set.add('a');
  set.add('b');
  remove();
  remove();
  expect(set.members()).toEqual(['b']);
});
