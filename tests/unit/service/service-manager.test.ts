import { expect, it } from 'vitest';
import { restartHint, ServiceNotifier, watchdogInterval } from '../../../src/service/service-manager.ts';

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

const BY_HAND = 'end it with Ctrl-C and start it again';
const USER = 'systemctl --user restart aipassd';
const SYSTEM = 'sudo systemctl restart aipassd';

it.each([
  ['by hand', {}, BY_HAND],
  ["as a user's unit", { NOTIFY_SOCKET: '/run/user/1000/systemd/notify', MANAGERPID: '900' }, USER],
  ["as a user's unit that notifies nobody", { INVOCATION_ID: 'a1', SYSTEMD_EXEC_PID: '42', MANAGERPID: '900' }, USER],
  ['as a unit of the machine', { NOTIFY_SOCKET: '/run/systemd/notify', INVOCATION_ID: 'a1' }, SYSTEM],
  ['as a unit of an older systemd', { INVOCATION_ID: 'a1' }, SYSTEM],
  ['in a terminal that is a unit', { INVOCATION_ID: 'a1', SYSTEMD_EXEC_PID: '7', MANAGERPID: '900' }, BY_HAND],
  ['by launchd', { XPC_SERVICE_NAME: 'com.aipassd.daemon' }, 'launchctl kickstart -k gui/1000/com.aipassd.daemon'],
  ['in a terminal of macOS', { XPC_SERVICE_NAME: 'application.com.apple.Terminal.1' }, BY_HAND],
])('a daemon that was started %s is restarted the same way', (_how, env, expected) => {
  expect(restartHint({ env, pid: 42, uid: 1000 })).toBe(expected);
});
