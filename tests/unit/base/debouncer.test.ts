import { expect, test } from 'vitest';
import { Debouncer } from '../../../src/base/timers.ts';
import { ManualClock } from '../../support/manual-clock.ts';

function start() {
  const clock = new ManualClock();
  const calls: number[] = [];
  const begin = clock.monotonic();
  const timer = new Debouncer(clock, { quietMs: 40, limitMs: 150 }, () => calls.push(clock.monotonic() - begin));
  return { clock, calls, timer };
}

test('a burst is one call, after a quiet moment', () => {
  const { clock, calls, timer } = start();
  timer.trigger();
  clock.advance(30);
  timer.trigger();
  clock.advance(39);
  expect(calls).toEqual([]);
  clock.advance(1);
  expect(calls).toEqual([70]);
  clock.advance(1000);
  expect(calls).toEqual([70]);
});

test('events without end are called for at the limit, again and again', () => {
  const { clock, calls, timer } = start();
  for (let at = 0; at < 400; at += 10) {
    timer.trigger();
    clock.advance(10);
  }
  expect(calls).toEqual([150, 300]);
});

test('a stopped timer forgets what it noted', () => {
  const { clock, calls, timer } = start();
  timer.trigger();
  timer.stop();
  clock.advance(1000);
  expect(calls).toEqual([]);
  timer.trigger();
  clock.advance(40);
  expect(calls).toEqual([1040]);
});
