import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { notifySystemd, peerCredentials, peerGroups, socketDescriptor } from '../../../src/base/native.ts';

it('the kernel tells who is at the other end of a socket', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'aipassd-native-'));
  const server = createServer().listen(join(folder, 'socket'));
  await once(server, 'listening');
  const client = connect(join(folder, 'socket'));
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  const fd = socketDescriptor(await accepted);
  expect(peerCredentials(fd)).toEqual({ uid: process.getuid?.(), gid: process.getgid?.(), pid: process.pid });
  expect(peerGroups(fd)).toEqual(expect.any(Array));
  client.destroy();
  server.close();
  rmSync(folder, { recursive: true });
});

it('what is no socket has no peer, and nothing throws', () => {
  expect(peerCredentials(-1)).toBeNull();
  expect(peerCredentials(9_999)).toBeNull();
  expect(peerGroups(9_999)).toBeNull();
});

it('without a service manager nobody is told anything', () => {
  expect(notifySystemd('READY=1')).toBe(false);
});

it('after forbidding dumps the limit is 0 and the process is not dumpable', () => {
  const program = `
    import { forbidDumps } from ${JSON.stringify(new URL('../../../src/base/native.ts', import.meta.url).href)};
    import { readFileSync } from 'node:fs';
    const held = forbidDumps();
    console.log(JSON.stringify({ held, core: process.platform !== 'linux' || /core file size +0 +0/.test(readFileSync('/proc/self/limits', 'utf8')) }));
  `;
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' });
  expect(JSON.parse(stdout)).toEqual({ held: true, core: true });
});
