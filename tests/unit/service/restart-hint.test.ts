import { expect, it } from 'vitest';
import { restartHint } from '../../../src/service/restart-hint.ts';

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
