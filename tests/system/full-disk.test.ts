/**
 * The built daemon on a disk that is full.
 */

import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { connect } from '../../src/client/index.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { runCli } from '../support/run-cli.ts';
import { CAN_MOUNT, SmallDisk } from '../support/small-disk.ts';
import { makeTempHome } from '../support/temp-home.ts';
import { TokenEndpoint } from '../support/token-endpoint.ts';
import { until } from '../support/until.ts';

describe.runIf(CAN_MOUNT)('on a full disk', () => {
  it('a refresh that has no room for its lock leaves no file behind', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using home = makeTempHome();
    await using disk = await SmallDisk.mount(home.paths.secrets, 2);
    const folder = join(home.paths.secrets, 'oauth');
    await mkdir(folder, { mode: 0o700 });
    const account = { client_id: 'app', refresh_token: 'r', token_endpoint: endpoint.url };
    await writeFile(join(folder, 'acc.json'), JSON.stringify(account), { mode: 0o600 });
    await using daemon = await DaemonProcess.start(home);
    await disk.fill();

    expect((await runCli(home, ['refresh', 'acc'])).code).toBe(2);

    expect(await readdir(folder)).toEqual(['acc.json']);
    await disk.empty();
    expect((await runCli(home, ['status'])).stdout).not.toContain('copy');
    expect(daemon.isRunning).toBe(true);
  });

  it('a usage database that could not be made raises no alarm about a lost history', async () => {
    await using home = makeTempHome();
    await using disk = await SmallDisk.mount(join(home.path, 'usage'), 2);
    await home.writeConfig({ usage: { database: join(disk.path, 'usage.db') } });
    await disk.fill();
    await using daemon = await DaemonProcess.start(home);
    const usageWarnings = async (): Promise<string[]> => {
      const aipass = await connect({ socket: home.paths.socket });
      await aipass.stats({}).catch(() => {});
      const { warnings } = await aipass.status();
      await aipass.close();
      return warnings.map(({ problem }) => problem).filter((problem) => problem.includes('usage'));
    };
    await until('the database is missed', async () => (await usageWarnings()).some((one) => one.includes('full')));

    await disk.empty();

    await until('it is made', async () => (await usageWarnings()).every((one) => !one.includes('full')), 20_000);
    expect(await usageWarnings()).toEqual([]);
    expect(daemon.isRunning).toBe(true);
  });

  it.each(['secrets', 'state'] as const)(
    'a key that cannot be added because of the %s folder names the disk',
    async (what) => {
      await using home = makeTempHome();
      await using disk = await SmallDisk.mount(home.paths[what], 4);
      await home.writeKeys({ LOCAL_API_KEY: 'lk-0123456789abcdef' });
      await using daemon = await DaemonProcess.start(home);
      await disk.fill();
      await using aipass = await connect({ socket: home.paths.socket });

      const added = aipass.credentials.add({ provider: 'groq', api_key: `gsk_${'0123456789'.repeat(5)}` });

      await expect(added).rejects.toMatchObject({
        code: 'INTERNAL',
        message: expect.stringContaining(disk.path),
        hint: expect.stringContaining('df -h'),
      });
      expect(daemon.isRunning).toBe(true);
    },
  );

  it('a key that cannot be added to a folder on a read-only disk is FORBIDDEN, with the remedy', async () => {
    await using home = makeTempHome();
    await using disk = await SmallDisk.mount(home.paths.secrets, 4);
    await home.writeKeys({ LOCAL_API_KEY: 'lk-0123456789abcdef' });
    await using daemon = await DaemonProcess.start(home);
    await disk.seal();

    const added = await runCli(home, ['add', 'groq', '--force'], { stdin: `gsk_${'0123456789'.repeat(5)}\n` });

    expect(added.code).toBe(2);
    expect(added.stderr).toContain('FORBIDDEN');
    expect(added.stderr).toContain(`findmnt -T ${disk.path}`);
    expect(daemon.isRunning).toBe(true);
  });
});
