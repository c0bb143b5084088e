import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { resolvePaths } from '../../../src/base/paths.ts';
import { describeInstallation } from '../../../src/service/installation.ts';
import { runProgram } from '../../../src/service/run-program.ts';
import {
  describeStep,
  executePlan,
  planInstall,
  planUninstall,
  type Done,
  type Installation,
} from '../../../src/service/plan.ts';

let home: string;
let installation: Installation;
/** Collects the programs that plans ran. */
let ran: string[];
let fails: (command: string) => boolean;

const run = (argv: readonly string[]) => {
  const command = argv.join(' ');
  ran.push(command);
  return Promise.resolve(fails(command) ? { code: 5, stderr: 'Unit not loaded.\n' } : { code: 0, stderr: '' });
};

async function execute(steps: ReturnType<typeof planInstall>): Promise<Done[]> {
  ran = [];
  const done: Done[] = [];
  for await (const step of executePlan(steps, run)) done.push(step);
  return done;
}

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'aipassd-install-'));
  ran = [];
  fails = () => false;
  installation = {
    scope: 'systemd-user',
    home,
    uid: 1000,
    user: 'alice',
    path: join(home, '.config', 'systemd', 'user', 'aipassd.service'),
    text: '[Service]\n',
    folders: [join(home, '.secrets'), join(home, '.local', 'state', 'aipassd')],
    logFile: join(home, 'log'),
  };
});

afterEach(() => rmSync(home, { recursive: true }));

it('an installation writes the unit, makes its folders, and enables and starts it', async () => {
  const done = await execute(planInstall(installation));
  const unit = join(home, '.config', 'systemd', 'user', 'aipassd.service');
  expect(readFileSync(unit, 'utf8')).toBe('[Service]\n');
  expect(statSync(unit).mode & 0o777).toBe(0o644);
  expect(statSync(join(home, '.secrets')).mode & 0o777).toBe(0o700);
  expect(ran).toEqual([
    'systemctl --user show-environment',
    'systemctl --user daemon-reload',
    'systemctl --user enable aipassd.service',
    'systemctl --user restart aipassd.service',
  ]);
  expect(done).toContainEqual({ kind: 'did', text: `wrote ${unit}` });
  expect(done.at(-1)).toMatchObject({ kind: 'note', text: expect.stringContaining('journalctl --user -u aipassd') });
});

it('a second installation changes nothing and restarts nothing', async () => {
  await execute(planInstall(installation));
  const done = await execute(planInstall(installation));
  const [asked, ...changing] = ran;
  expect(asked).toBe('systemctl --user show-environment');
  expect(changing).toEqual(['systemctl --user enable aipassd.service', 'systemctl --user start aipassd.service']);
  expect(done.filter((step) => step.kind === 'did').map((step) => step.text)).toEqual(
    changing.map((command) => `ran ${command}`),
  );
});

it('a changed unit is written again and the daemon restarted', async () => {
  await execute(planInstall(installation));
  const done = await execute(planInstall({ ...installation, text: '[Service]\nType=notify\n' }));
  expect(done).toContainEqual({ kind: 'did', text: `changed ${installation.path}` });
  expect(ran).toContain('systemctl --user restart aipassd.service');
});

it('removing takes the unit back and keeps what people put there, also when done twice', async () => {
  await execute(planInstall(installation));
  writeFileSync(join(home, '.secrets', 'mine'), 'x');
  await execute(planUninstall(installation));
  expect(ran[0]).toBe('systemctl --user disable --now aipassd.service');
  expect(existsSync(installation.path)).toBe(false);
  expect(existsSync(join(home, '.secrets', 'mine'))).toBe(true);
  fails = (command) => command.includes('disable') || command.includes('reset-failed');
  const again = await execute(planUninstall(installation));
  expect(again.filter((step) => step.kind === 'did')).toEqual([]);
});

it('where the user has no session, an installation writes nothing, and says how to get one', async () => {
  fails = (command) => command.startsWith('systemctl --user');
  await expect(execute(planInstall(installation))).rejects.toMatchObject({
    code: 'NOT_FOUND',
    message: expect.stringContaining('Unit not loaded.'),
    hint: expect.stringMatching(/log in as alice .*loginctl enable-linger alice .*aipassd run/),
  });
  expect(readdirSync(home)).toEqual([]);
});

it('where systemd does not run the machine, an installation for all of it begins nothing', async () => {
  fails = (command) => command === 'systemctl show-environment';
  const plan = planInstall({ ...installation, scope: 'systemd-system' });
  await expect(execute(plan)).rejects.toMatchObject({
    code: 'NOT_FOUND',
    hint: expect.stringContaining('aipassd run'),
  });
  expect(ran).toEqual(['systemctl show-environment']);
});

it('a program that fails ends the installation with what it said', async () => {
  fails = (command) => command.includes('enable');
  await expect(execute(planInstall(installation))).rejects.toMatchObject({
    code: 'INTERNAL',
    message: 'systemctl --user enable aipassd.service failed: Unit not loaded.',
  });
});

it('a program that does not answer is ended, and reported as that', async () => {
  expect(await runProgram(['sleep', '600'], 10)).toMatchObject({ code: null, endedBy: 'time-limit' });
  const plan = executePlan([{ kind: 'run', argv: ['systemctl', 'start', 'x'] }], () =>
    Promise.resolve({ code: null, stderr: 'Job is running', endedBy: 'time-limit' }),
  );
  await expect(plan.next()).rejects.toMatchObject({
    message: 'systemctl start x failed: it was ended after 60 s without an answer',
  });
});

it('a configuration that was edited is kept, and the one that was written goes', async () => {
  const path = join(home, 'config.jsonc');
  const write = { kind: 'write', path, text: 'ours', mode: 0o644, keep: true } as const;
  const remove = { kind: 'remove', path, text: 'ours' } as const;
  await execute([write]);
  writeFileSync(path, 'edited');
  expect(await execute([write, remove])).toMatchObject([{ kind: 'unchanged' }, { kind: 'unchanged' }]);
  writeFileSync(path, 'ours');
  expect(await execute([remove])).toEqual([{ kind: 'did', text: `removed ${path}` }]);
});

it('a folder has the mode it was planned with, whatever the umask of this program', async () => {
  const path = join(home, 'etc', 'aipassd');
  const before = process.umask(0o077);
  try {
    await execute([{ kind: 'folder', path, mode: 0o755 }]);
  } finally {
    process.umask(before);
  }
  expect(statSync(path).mode & 0o777).toBe(0o755);
});

it('the plan for a whole machine makes its user before the unit that runs as it', () => {
  const steps = planInstall({ ...installation, scope: 'systemd-system' }).map(describeStep);
  expect(steps.indexOf('systemd-sysusers /etc/sysusers.d/aipassd.conf')).toBeLessThan(
    steps.indexOf('systemctl restart aipassd.service (if a file was changed)'),
  );
});

it('launchd is told to forget an agent before it takes a changed one', async () => {
  const path = join(home, 'Library', 'LaunchAgents', 'com.aipassd.daemon.plist');
  const agent = { ...installation, scope: 'launchd' as const, path };
  await execute(planInstall(agent));
  expect(ran.map((command) => command.split(' ').slice(0, 2).join(' '))).toEqual([
    'launchctl bootout',
    'launchctl bootstrap',
    'launchctl enable',
    'launchctl kickstart',
  ]);
  expect(existsSync(path)).toBe(true);
});

it('the service is started so that SIGUSR1 opens no debugger, not even in its first millisecond', () => {
  const { text } = describeInstallation({ system: false, paths: resolvePaths({ env: {}, home }) });
  expect(text).toMatch(/--disable-sigusr1"? .*cli\.js|--disable-sigusr1<\/string>/);
});
