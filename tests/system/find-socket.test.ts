/**
 * A client finds this user's daemon whatever its own environment says of the runtime folder, and a
 * living daemon is never called dead.
 */

import { chmodSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { DaemonProcess } from '../support/daemon-process.ts';
import { CLI_PATH, runCli } from '../support/run-cli.ts';
import { runProgram, type ProgramResult } from '../support/run-program.ts';
import { makeTempHome, type TempHome } from '../support/temp-home.ts';
import { until } from '../support/until.ts';

/** Starts a daemon as a session of its user does, with an XDG_RUNTIME_DIR of its own. */
async function startInSession(home: TempHome): Promise<DaemonProcess> {
  const xdg = join(home.path, 'xdg');
  mkdirSync(xdg, { mode: 0o700 });
  return DaemonProcess.start(home, { AIPASSD_RUNTIME_DIR: '', XDG_RUNTIME_DIR: xdg });
}

/** Runs a command without the runtime folder, as cron does, or with another one. */
function run(
  home: TempHome,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<ProgramResult> {
  const { AIPASSD_RUNTIME_DIR: _moved, ...rest } = home.env;
  return runProgram(process.execPath, [CLI_PATH, ...args], { env: { ...rest, ...env }, cwd: home.path });
}

it('a client without XDG_RUNTIME_DIR, or with another, finds the daemon by its record', async () => {
  await using home = makeTempHome();
  await using daemon = await startInSession(home);
  for (const env of [{}, { XDG_RUNTIME_DIR: '/nowhere' }]) {
    const { code, stdout } = await run(home, ['status', '--json'], env);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ pid: daemon.pid });
  }
  expect((await run(home, ['doctor', '--offline'])).stdout).not.toContain('was killed');
  const { stdout } = await run(home, []);
  expect(stdout).toContain(join(home.path, 'xdg', 'aipassd', 'aipassd.sock'));
  expect(stdout).toContain(join(home.path, 'xdg', 'aipassd', 'gateway.sock'));
});

it('a socket in a folder that others may write is not believed', async () => {
  await using home = makeTempHome();
  await using daemon = await startInSession(home);
  chmodSync(join(home.path, 'xdg', 'aipassd'), 0o777);
  const { code, stderr } = await run(home, ['status']);
  expect(code).toBe(3);
  expect(stderr).toContain(String(daemon.pid));
  expect(stderr).not.toContain('was killed');
});

it('a folder that is named on purpose is the only one, and the error says where the daemon is', async () => {
  await using home = makeTempHome();
  await using daemon = await startInSession(home);
  const { code, stderr } = await runCli(home, ['status']);
  expect(code).toBe(3);
  expect(stderr).toContain(`AIPASSD_RUNTIME_DIR=${join(home.path, 'xdg', 'aipassd')}`);
  expect(stderr).toContain(String(daemon.pid));
});

it('a daemon that hangs is told from a dead one', async () => {
  await using home = makeTempHome();
  await using daemon = await DaemonProcess.start(home);
  daemon.signal('SIGSTOP');
  const { code, stderr } = await runCli(home, ['status']);
  daemon.signal('SIGCONT');
  expect(code).toBe(3);
  expect(stderr).not.toContain('was killed');
  expect(stderr).toContain(`kill -9 ${daemon.pid}`);
});

it('a socket, and a whole runtime folder, that were deleted are made anew within two seconds', async () => {
  await using home = makeTempHome();
  await using daemon = await DaemonProcess.start(home);
  for (const path of [home.paths.socket, home.paths.runtime]) {
    rmSync(path, { recursive: true });
    await until('the socket is there again', () => existsSync(home.paths.socket), 4000);
    const { stdout } = await runCli(home, ['status', '--json']);
    expect(JSON.parse(stdout)).toMatchObject({ pid: daemon.pid });
  }
});
