import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { DueHeap } from '../../../src/pools/due-heap.ts';
import { Tournament } from '../../../src/pools/tournament.ts';

test('the tournament is always won by the best eligible slot, whatever changes', () => {
  const change = fc.record({ slot: fc.nat(40), rank: fc.nat(20), eligible: fc.boolean() });
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 41 }), fc.array(change, { maxLength: 100 }), (slots, changes) => {
      const ranks = Array.from({ length: slots }, () => 0);
      const eligible = Array.from({ length: slots }, () => true);
      const tournament = new Tournament(
        (a, b) => (ranks[a] ?? 0) < (ranks[b] ?? 0),
        (slot) => eligible[slot] === true,
      );
      tournament.rebuild(slots);
      for (const { slot, rank, eligible: isEligible } of changes.filter((each) => each.slot < slots)) {
        ranks[slot] = rank;
        eligible[slot] = isEligible;
        tournament.update(slot);
        const free = ranks.map((value, index) => ({ value, index })).filter(({ index }) => eligible[index]);
        const best = free.toSorted((a, b) => a.value - b.value || a.index - b.index)[0];
        expect(tournament.best).toBe(best?.index);
      }
    }),
  );
});

test('the heap hands out everything once, in the order of its times, and nothing early', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(100)), fc.nat(100), (times, now) => {
      const heap = new DueHeap<number>();
      for (const at of times) heap.push(at, at);
      const out: number[] = [];
      for (let value = heap.popDue(now); value !== undefined; value = heap.popDue(now)) out.push(value);
      expect(out).toEqual(times.filter((at) => at <= now).toSorted((a, b) => a - b));
      expect(heap.size).toBe(times.length - out.length);
    }),
  );
});
