import { describe, expect, it } from 'vitest';
import { repeat, wakeAt } from '../../../src/base/timers.ts';
import { ManualClock } from '../../support/manual-clock.ts';

describe('a wake-up', () => {
  it('comes once, at its wall time, in steps of at most 30 s', () => {
    const clock = new ManualClock();
    let calls = 0;
    wakeAt(clock, clock.now() + 70_000, () => {
      calls += 1;
    });
    expect(clock.waits).toEqual([30_000]);
    clock.advance(69_999);
    expect(calls).toBe(0);
    clock.advance(1);
    expect(calls).toBe(1);
    clock.advance(300_000);
    expect(calls).toBe(1);
  });

  it('comes within 30 s after the machine has slept past it', () => {
    const clock = new ManualClock();
    let calls = 0;
    wakeAt(clock, clock.now() + 3_600_000, () => {
      calls += 1;
    });
    clock.suspend(7_200_000);
    clock.advance(30_000);
    expect(calls).toBe(1);
  });

  it('waits on where the wall clock was set back', () => {
    const clock = new ManualClock();
    let calls = 0;
    wakeAt(clock, clock.now() + 10_000, () => {
      calls += 1;
    });
    clock.jump(-5000);
    clock.advance(10_000);
    expect(calls).toBe(0);
    clock.advance(5000);
    expect(calls).toBe(1);
  });

  it('of a past time comes soon, not at once', () => {
    const clock = new ManualClock();
    let calls = 0;
    wakeAt(clock, clock.now() - 1, () => {
      calls += 1;
    });
    expect(calls).toBe(0);
    clock.advance(1);
    expect(calls).toBe(1);
  });

  it('that was cancelled never comes, also after a first step', () => {
    const clock = new ManualClock();
    let calls = 0;
    const cancel = wakeAt(clock, clock.now() + 40_000, () => {
      calls += 1;
    });
    clock.advance(35_000);
    cancel();
    clock.advance(60_000);
    expect(calls).toBe(0);
    expect(clock.waits).toEqual([]);
  });
});

describe('a repetition', () => {
  it('does its work every so often, until it is ended', async () => {
    const clock = new ManualClock();
    let calls = 0;
    const stop = repeat(clock, 1000, () => {
      calls += 1;
    });
    clock.advance(3500);
    expect(calls).toBe(3);
    await stop();
    clock.advance(10_000);
    expect(calls).toBe(3);
  });

  it('never overlaps itself, and its end waits for work that is under way', async () => {
    const clock = new ManualClock();
    const ends: (() => void)[] = [];
    const stop = repeat(clock, 1000, () => new Promise<void>((resolve) => ends.push(resolve)));
    clock.advance(5000);
    expect(ends).toHaveLength(1);
    let hasEnded = false;
    const ending = stop().then(() => {
      hasEnded = true;
    });
    await Promise.resolve();
    expect(hasEnded).toBe(false);
    ends[0]?.();
    await ending;
    clock.advance(5000);
    expect(ends).toHaveLength(1);
  });

  it('goes on after work that fails', () => {
    const clock = new ManualClock();
    let calls = 0;
    repeat(clock, 1000, () => {
      calls += 1;
      throw new Error('a defect');
    });
    expect(() => clock.advance(1000)).toThrow('a defect');
    expect(() => clock.advance(1000)).toThrow('a defect');
    expect(calls).toBe(2);
  });
});
