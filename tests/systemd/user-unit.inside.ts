/**
 * Runs inside the booted systemd: installs aipassd as a user does, and finds out what becomes of
 * it.
 */

import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import {
  CLI,
  NODE,
  addUser,
  aipassd,
  exposure,
  holds,
  must,
  run,
  runAs,
  show,
  startAs,
  startSlowProvider,
  startSlowTokens,
  tell,
} from './inside.ts';

const KEY = 'sk-or-v1-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef';
const UNIT = 'aipassd.service';
const alice = addUser('alice');
const bob = addUser('bob');
const baseUrl = await startSlowProvider(2000);

const secrets = `${alice.home}/.secrets/aipass`;
const config = `${alice.home}/.config/aipassd/config.jsonc`;
mkdirSync(secrets, { recursive: true });
mkdirSync(`${alice.home}/.config/aipassd`, { recursive: true });
writeFileSync(`${secrets}/.env`, `OPENROUTER_API_KEY=${KEY}\n`);
const configWith = (limits: unknown): string => JSON.stringify({ providers: { openrouter: { baseUrl } }, limits });
writeFileSync(config, configWith({}));
must('chown', '-R', 'alice:alice', alice.home);
must('chmod', '-R', 'go=', `${alice.home}/.secrets`);

const printed = aipassd(alice, {}, 'install', '--print');
tell(
  'print changes nothing',
  printed.code === 0 && printed.stdout.includes('ExecStart=') && show(UNIT, alice)['ActiveState'] === 'inactive',
);

const noSession = aipassd(alice, { XDG_RUNTIME_DIR: '/nowhere' }, 'install');
const unitFolder = `${alice.home}/.config/systemd`;
tell('install without a session', { ...noSession, isWritten: existsSync(unitFolder) });

const installed = aipassd(alice, {}, 'install');
tell('install', { code: installed.code, stdout: installed.stdout, stderr: installed.stderr });
tell('active', show(UNIT, alice));
const again = aipassd(alice, {}, 'install');
tell('install again', { code: again.code, stdout: again.stdout, samePid: show(UNIT, alice)['MainPID'] });

tell('key for the same user', aipassd(alice, {}, 'get-key', 'openrouter', '--reveal').stdout.trim() === KEY);

const socket = `/run/user/${alice.uid}/aipassd/aipassd.sock`;
for (const open of [`/run/user/${alice.uid}`, `/run/user/${alice.uid}/aipassd`, socket]) chmodSync(open, 0o777);
const stranger = aipassd(
  bob,
  { AIPASSD_RUNTIME_DIR: `/run/user/${alice.uid}/aipassd` },
  'get-key',
  'openrouter',
  '--reveal',
);
tell('another uid with modes opened', { code: stranger.code, stdout: stranger.stdout, stderr: stranger.stderr });
chmodSync(`/run/user/${alice.uid}`, 0o700);
tell('audit', aipassd(alice, {}, 'audit', '--json').stdout);
tell('audit verified', aipassd(alice, {}, 'audit', '--verify').stdout);

tell('dumpable', run('stat', '-c', '%U', `/proc/${show(UNIT, alice)['MainPID']}/environ`).stdout.trim());
const doctor = aipassd(alice, {}, 'doctor', '--offline', '--json');
tell('doctor', { code: doctor.code, stdout: doctor.stdout });
tell('score', exposure(runAs(alice, {}, 'systemd-analyze', '--user', 'security', '--no-pager', UNIT).stdout));

// A configuration that changed, and one that is wrong.
const before = show(UNIT, alice)['MainPID'];
writeFileSync(config, configWith({ inFlight: 7 }));
const reload = runAs(alice, {}, 'systemctl', '--user', 'reload', UNIT);
// The manager may hear that a reload began after `systemctl reload` has returned.
const isActive = await holds(() => show(UNIT, alice)['ActiveState'] === 'active');
tell('reload', { code: reload.code, samePid: show(UNIT, alice)['MainPID'] === before, isActive });
writeFileSync(config, '{ "limitz": {} }');
runAs(alice, {}, 'systemctl', '--user', 'reload', UNIT);
let warned = aipassd(alice, {}, 'status', '--json');
await holds(() => {
  if (!warned.stdout.includes('limitz')) warned = aipassd(alice, {}, 'status', '--json');
  return warned.stdout.includes('limitz');
});
tell('wrong configuration', { code: warned.code, stdout: warned.stdout });
writeFileSync(config, configWith({}));
chownSync(config, alice.uid, alice.uid);
runAs(alice, {}, 'systemctl', '--user', 'reload', UNIT);

// Death: by SIGKILL, and by a loop that stands still.
const restartedAfter = async (signal: string, limitMs: number): Promise<unknown> => {
  const pid = show(UNIT, alice)['MainPID'];
  run('kill', `-${signal}`, String(pid));
  const restarted = await holds(() => {
    const now = show(UNIT, alice);
    return now['MainPID'] !== pid && now['MainPID'] !== '0' && now['ActiveState'] === 'active';
  }, limitMs);
  return { restarted, key: aipassd(alice, {}, 'get-key', 'openrouter', '--reveal').stdout.trim() === KEY };
};
tell('SIGKILL', await restartedAfter('KILL', 10_000));
tell('last run', aipassd(alice, {}, 'status', '--json').stdout);

// A shorter watchdog, so that the test is: what is tried is the same.
mkdirSync(`${alice.home}/.config/systemd/user/${UNIT}.d`, { recursive: true });
writeFileSync(`${alice.home}/.config/systemd/user/${UNIT}.d/test.conf`, '[Service]\nWatchdogSec=2\n');
runAs(alice, {}, 'systemctl', '--user', 'daemon-reload');
runAs(alice, {}, 'systemctl', '--user', 'restart', UNIT);
// Stopped, the process is alive and its loop stands still: nothing but the watchdog notices.
tell('stalled loop', await restartedAfter('STOP', 15_000));

// The watchdog kills the daemon while a rotated token is on its way to a worker.
const slow = await startSlowTokens();
mkdirSync(`${secrets}/oauth`, { mode: 0o700 });
const slowFile = `${secrets}/oauth/slow.json`;
const slowAccount = { token_endpoint: slow.url, client_id: 'app', refresh_token: 'refresh-0' };
writeFileSync(slowFile, JSON.stringify(slowAccount), { mode: 0o600 });
must('chown', '-R', 'alice:alice', `${secrets}/oauth`);
const refreshing = startAs(alice, [NODE, CLI, 'refresh', 'slow'], { stdio: 'ignore' });
await holds(() => slow.count() > 0);
await restartedAfter('STOP', 15_000);
refreshing.kill();
slow.release();
const isSaved = await holds(() => readFileSync(slowFile, 'utf8').includes('refresh-1'), 10_000);
tell('rotation under the watchdog', {
  isSaved,
  token: aipassd(alice, {}, 'token', 'slow').stdout.trim(),
  asked: slow.count(),
});

// A stop with a completion in flight.
const call = startAs(alice, [NODE, CLI, 'call', 'hello', '--model', 'm'], { stdio: ['ignore', 'pipe', 'pipe'] });
let answer = '';
call.stdout?.on('data', (chunk: Buffer) => (answer += chunk.toString()));
call.stderr?.on('data', (chunk: Buffer) => (answer += chunk.toString()));
await holds(() => aipassd(alice, {}, 'status', '--json').stdout.includes('"requestsInFlight": 2'), 10_000);
const begun = Date.now();
const ended = new Promise((resolve) => call.once('close', resolve));
const stop = startAs(alice, ['systemctl', '--user', 'stop', UNIT]);
await new Promise((resolve) => stop.once('close', resolve));
const stopMs = Date.now() - begun;
tell('stop', { callCode: await ended, answer, stopMs, ...show(UNIT, alice) });
const down = aipassd(alice, {}, 'status');
tell('status when stopped', { code: down.code, stderr: down.stderr });

const removed = aipassd(alice, {}, 'uninstall');
tell('uninstall', { code: removed.code, stdout: removed.stdout, again: aipassd(alice, {}, 'uninstall').code });
tell('gone', {
  unit: runAs(alice, {}, 'systemctl', '--user', 'cat', UNIT).code !== 0,
  secrets: readFileSync(`${secrets}/.env`, 'utf8').includes(KEY),
});
