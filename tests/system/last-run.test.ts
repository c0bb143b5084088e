/**
 * What `status` tells of a daemon that does not answer: whether it is dead is asked of the system,
 * not guessed.
 */

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { DaemonProcess } from '../support/daemon-process.ts';
import { runCli } from '../support/run-cli.ts';
import { makeTempHome } from '../support/temp-home.ts';

it('a client that looks for the socket elsewhere is told where the living daemon has it', async () => {
  await using home = makeTempHome();
  await using daemon = await DaemonProcess.start(home);
  const elsewhere = join(home.path, 'elsewhere');
  await mkdir(elsewhere, { mode: 0o700 });
  const { code, stderr } = await runCli(home, ['status'], { env: { AIPASSD_RUNTIME_DIR: elsewhere } });
  expect(code).toBe(3);
  expect(stderr).toContain(`(pid ${daemon.pid}, from `);
  expect(stderr).toContain(`serves ${home.paths.socket}`);
  expect(stderr).toContain(`AIPASSD_RUNTIME_DIR=${home.paths.runtime}`);
  expect(stderr).not.toContain('killed');
  await daemon.stop();
});

it('a daemon that hangs is told from a dead one', async () => {
  await using home = makeTempHome();
  await using daemon = await DaemonProcess.start(home);
  daemon.signal('SIGSTOP');
  const [hung, second] = await Promise.all([runCli(home, ['status']), runCli(home, ['run'])]);
  daemon.signal('SIGCONT');
  expect(hung.stderr).toContain(`kill -9 ${daemon.pid}`);
  expect(hung.stderr).not.toContain('no daemon answers');
  expect(hung.stderr).not.toContain('made again');
  expect(second.stderr).toContain('ALREADY_RUNNING');
  expect(second.stderr).toContain(`with pid ${daemon.pid}`);
  expect(hung.code).not.toBe(0);
  expect(hung.stderr).not.toContain('killed');
  expect(hung.stderr).not.toContain('start it');
  await daemon.kill();
  const dead = await runCli(home, ['status']);
  expect(dead.stderr).toContain('killed');
});
