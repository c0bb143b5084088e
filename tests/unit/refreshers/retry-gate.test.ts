import { describe, expect, it } from 'vitest';
import { RetryGate } from '../../../src/refreshers/retry-gate.ts';
import { ManualClock } from '../../support/manual-clock.ts';

function waitAfter(failures: number, random: number, retryAfterMs?: number): number {
  const gate = new RetryGate(new ManualClock(), () => random);
  for (let count = 0; count < failures; count += 1) gate.fail(retryAfterMs, () => {});
  return gate.remaining();
}

describe('the back-off', () => {
  it('grows from two seconds to five minutes with full jitter', () => {
    expect(waitAfter(1, 0.999_999)).toBe(2000);
    expect(waitAfter(1, 0)).toBe(4000);
    expect(waitAfter(50, 0.999_999_9)).toBe(2000);
    expect(waitAfter(50, 0)).toBe(300_000);
  });

  it('is never shorter than the server asks, up to an hour', () => {
    expect(waitAfter(1, 0, 120_000)).toBe(120_000);
    expect(waitAfter(1, 0, 86_400_000)).toBe(3_600_000);
  });
});

describe('the back-off while a token is valid', () => {
  it('ends when the token does, unless the server asks for more patience', () => {
    const gate = new RetryGate(new ManualClock(), () => 0);
    for (let count = 0; count < 9; count += 1) gate.fail(undefined, () => {});
    expect(gate.remaining()).toBe(300_000);
    gate.fail(undefined, () => {}, 40_000);
    expect(gate.remaining()).toBe(40_000);
    gate.fail(60_000, () => {}, 40_000);
    expect(gate.remaining()).toBe(60_000);
    gate.fail(undefined, () => {}, 1);
    expect(gate.remaining()).toBe(2000);
  });
});

describe('the gate of a failing account', () => {
  it('calls for the next try when its wait is over, and looks at the clock every 30 seconds', () => {
    const clock = new ManualClock();
    const gate = new RetryGate(clock, () => 0);
    let retries = 0;

    gate.fail(100_000, () => void (retries += 1));
    expect(Math.max(...clock.waits)).toBeLessThanOrEqual(30_000);
    clock.advance(99_000);
    expect(retries).toBe(0);
    clock.advance(1000);
    expect(retries).toBe(1);
  });

  it('opens after a sleep of the machine, and also when the wall clock was set back', () => {
    const clock = new ManualClock();
    const gate = new RetryGate(clock, () => 0);
    gate.fail(100_000, () => {});

    clock.suspend(100_000);
    expect(gate.remaining()).toBe(0);
    gate.fail(100_000, () => {});
    clock.jump(-3_600_000);
    clock.advance(100_000);
    expect(gate.remaining()).toBe(0);
  });

  it('forgets everything after a success', () => {
    const clock = new ManualClock();
    const gate = new RetryGate(clock, () => 0);
    gate.fail(undefined, () => {});

    gate.reset();

    expect([gate.failures, gate.remaining(), gate.nextAt, clock.waits]).toEqual([0, 0, null, []]);
  });
});
