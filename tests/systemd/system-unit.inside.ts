/**
 * Runs inside the booted systemd: installs the host-wide aipassd as root does, and asks it as
 * several users.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { CLI, NODE, addUser, aipassd, exposure, holds, must, run, show, tell, type User } from './inside.ts';

const KEY = 'sk-or-v1-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef';
const UNIT = 'aipassd.service';
const SYSTEM = { AIPASSD_RUNTIME_DIR: '/run/aipassd' };

const root = (...args: readonly string[]) => run('env', 'AIPASSD_RUNTIME_DIR=/run/aipassd', NODE, CLI, ...args);
const install = root('install', '--system');
tell('install', { code: install.code, stdout: install.stdout, stderr: install.stderr });
tell('install again', root('install', '--system').stdout);
tell('runs as', run('ps', '-o', 'user=', '-p', String(show(UNIT)['MainPID'])).stdout.trim());

mkdirSync('/var/lib/aipassd/secrets/aipass', { recursive: true });
writeFileSync('/var/lib/aipassd/secrets/aipass/.env', `OPENROUTER_API_KEY=${KEY}\n`);
must('chown', '-R', 'aipassd:aipassd', '/var/lib/aipassd/secrets');
must('chmod', '-R', 'go=', '/var/lib/aipassd/secrets');

const member = addUser('member');
const trusted = addUser('trusted');
const stranger = addUser('stranger');
must('usermod', '-aG', 'aipassd', 'member');
writeFileSync(
  '/etc/aipassd/config.jsonc',
  JSON.stringify({ access: { use: { groups: ['aipassd'] }, reveal: { users: ['trusted'] } } }),
);
tell('reload', run('systemctl', 'reload', UNIT).code);
await holds(() => root('get-key', 'openrouter', '--reveal').stdout.trim() === KEY);

const ask = (user: User) => ({
  status: aipassd(user, SYSTEM, 'status').code,
  reveal: aipassd(user, SYSTEM, 'get-key', 'openrouter', '--reveal').stdout.trim() === KEY,
  masked: aipassd(user, SYSTEM, 'get-key', 'openrouter').code,
});
tell('member', ask(member));
tell('trusted', ask(trusted));
tell('stranger', ask(stranger));
tell('status', root('status', '--json').stdout);
tell('doctor', root('doctor', '--system', '--offline', '--json'));
tell("member's doctor", aipassd(member, SYSTEM, 'doctor', '--offline', '--json'));
tell('files', run('setpriv', '--reuid', 'member', '--regid', 'member', '--init-groups', 'ls', '/var/lib/aipassd').code);
tell('audit', run('cat', '/var/lib/aipassd/state/audit.jsonl').stdout);
tell('score', exposure(run('systemd-analyze', 'security', '--no-pager', UNIT).stdout));

const restartedAfter = async (signal: string): Promise<boolean> => {
  const pid = show(UNIT)['MainPID'];
  run('kill', `-${signal}`, String(pid));
  return holds(() => {
    const now = show(UNIT);
    return now['MainPID'] !== pid && now['MainPID'] !== '0' && now['ActiveState'] === 'active';
  });
};
tell('SIGKILL', await restartedAfter('KILL'));
mkdirSync(`/etc/systemd/system/${UNIT}.d`);
writeFileSync(`/etc/systemd/system/${UNIT}.d/test.conf`, '[Service]\nWatchdogSec=2\n');
must('systemctl', 'daemon-reload');
must('systemctl', 'restart', UNIT);
tell('stalled loop', await restartedAfter('STOP'));

// A start that cannot succeed ends in a state that says so, not in a loop.
writeFileSync('/etc/aipassd/config.jsonc', '{ "limitz": {} }');
run('systemctl', 'restart', UNIT);
tell('start that cannot succeed', {
  settled: await holds(() => show(UNIT)['ActiveState'] === 'failed'),
  ...show(UNIT),
});

const removed = root('uninstall', '--system');
tell('uninstall', { code: removed.code, stdout: removed.stdout, again: root('uninstall', '--system').code });
