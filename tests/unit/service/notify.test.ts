import { expect, it } from 'vitest';
import { ServiceNotifier, watchdogInterval } from '../../../src/service/notify.ts';

it('a status cannot add assignments of its own', () => {
  const sent: string[] = [];
  const notifier = new ServiceNotifier((text) => sent.push(text) > 0);
  notifier.status('serving\nWATCHDOG=trigger');
  notifier.ready('serving');
  notifier.reloading();
  notifier.stopping('asked to');
  expect(sent).toEqual([
    'STATUS=serving WATCHDOG=trigger',
    'READY=1\nSTATUS=serving',
    'RELOADING=1\nSTATUS=reloading',
    'STOPPING=1\nSTATUS=asked to',
  ]);
});

it('the watchdog is fed at once and then from the timer, until it is stopped', () => {
  const sent: string[] = [];
  let due: (() => void) | undefined;
  const clock = {
    now: () => 0,
    monotonic: () => 0,
    after: (_delayMs: number, callback: () => void) => {
      due = callback;
      return () => (due = undefined);
    },
  };
  const stop = new ServiceNotifier((text) => sent.push(text) > 0).feedWatchdog(clock, 5);
  due?.();
  expect(sent).toEqual(['WATCHDOG=1', 'WATCHDOG=1']);
  void stop();
  expect(due).toBeUndefined();
});

it('the watchdog is fed thrice in its time, and only by the process it watches', () => {
  expect(watchdogInterval({ WATCHDOG_USEC: '20000000', WATCHDOG_PID: '7' }, 7)).toBe(6666);
  expect(watchdogInterval({ WATCHDOG_USEC: '20000000' }, 7)).toBe(6666);
  expect(watchdogInterval({ WATCHDOG_USEC: '20000000', WATCHDOG_PID: '8' }, 7)).toBeNull();
  expect(watchdogInterval({}, 7)).toBeNull();
  expect(watchdogInterval({ WATCHDOG_USEC: 'soon' }, 7)).toBeNull();
});
