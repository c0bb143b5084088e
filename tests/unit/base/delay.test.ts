import { describe, expect, it } from 'vitest';
import { delay, withTimeout } from '../../../src/base/timers.ts';
import { ManualClock } from '../../support/manual-clock.ts';

describe('a delay', () => {
  it('ends when its time has passed', async () => {
    const clock = new ManualClock();
    const waiting = delay(clock, 1000, new AbortController().signal);
    expect(clock.waits).toEqual([1000]);
    clock.advance(1000);
    expect(await waiting).toBe('elapsed');
  });

  it('ends at once when its signal aborts, and leaves no timer', async () => {
    const clock = new ManualClock();
    const control = new AbortController();
    const waiting = delay(clock, 1000, control.signal);
    control.abort();
    expect(await waiting).toBe('aborted');
    expect(clock.waits).toEqual([]);
    expect(await delay(clock, 1000, control.signal)).toBe('aborted');
  });

  it('of no time sets no timer', async () => {
    const clock = new ManualClock();
    expect(await delay(clock, 0)).toBe('elapsed');
    expect(await delay(clock, -5)).toBe('elapsed');
    expect(clock.waits).toEqual([]);
  });
});

describe('a time limit', () => {
  it('passes on what the work returns or throws, and leaves no timer', async () => {
    const clock = new ManualClock();
    expect(await withTimeout(clock, 1000, Promise.resolve(7), () => 'late')).toBe(7);
    await expect(withTimeout(clock, 1000, Promise.reject(new Error('broken')), () => 'late')).rejects.toThrow('broken');
    expect(clock.waits).toEqual([]);
  });

  it('returns or throws what its owner says when the time has passed', async () => {
    const clock = new ManualClock();
    const { promise: never } = Promise.withResolvers<never>();
    const late = withTimeout(clock, 1000, never, () => 'late');
    const failing = withTimeout(clock, 1000, never, () => {
      throw new Error('too late');
    });
    clock.advance(1000);
    expect(await late).toBe('late');
    await expect(failing).rejects.toThrow('too late');
  });

  it('drops a failure of work that goes on after it', async () => {
    const clock = new ManualClock();
    const { promise, reject } = Promise.withResolvers<never>();
    const late = withTimeout(clock, 1000, promise, () => 'late');
    clock.advance(1000);
    expect(await late).toBe('late');
    // An unhandled rejection would fail this run.
    reject(new Error('nobody waits any more'));
    await expect(promise).rejects.toThrow('nobody');
  });
});
