/**
 * The built daemon on a disk that is full.
 */

import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DaemonProcess } from '../support/daemon-process.ts';
import { runCli } from '../support/run-cli.ts';
import { CAN_MOUNT, SmallDisk } from '../support/small-disk.ts';
import { makeTempHome } from '../support/temp-home.ts';
import { TokenEndpoint } from '../support/token-endpoint.ts';

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
});
