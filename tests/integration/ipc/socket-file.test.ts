import { statSync } from 'node:fs';
import { chmod, chown, mkdir, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { makeTempHome } from '../../support/temp-home.ts';
import { startTestServer } from '../../support/test-server.ts';

describe('the socket', () => {
  it('is for its owner only, whatever the umask, which stays as it was', async () => {
    const umask = process.umask(0);
    try {
      await using test = await startTestServer();
      expect(statSync(test.socket).mode & 0o777).toBe(0o600);
      expect(process.umask()).toBe(0);
    } finally {
      process.umask(umask);
    }
  });

  it.each([
    ['that others can write to', 0o777, false],
    ['that others can write to, though others are served', 0o1777, true],
    ['that others can read', 0o755, false],
  ])('is refused in a folder %s, which stays as it was', async (_what, mode, servesOthers) => {
    await using home = makeTempHome();
    const runtime = join(home.path, 'open');
    await mkdir(runtime);
    await chmod(runtime, mode);
    const starting = startTestServer({ path: join(runtime, 's.sock'), servesOthers: () => servesOthers });
    await expect(starting).rejects.toMatchObject({
      code: 'UNSAFE_PERMISSIONS',
      message: expect.stringContaining(runtime),
      hint: expect.stringContaining('AIPASSD_RUNTIME_DIR'),
    });
    expect(statSync(runtime).mode & 0o7777).toBe(mode);
  });

  it.runIf(process.getuid?.() === 0)('is refused in a folder of another user', async () => {
    await using home = makeTempHome();
    const runtime = join(home.path, 'theirs');
    await mkdir(runtime, { mode: 0o700 });
    await chown(runtime, 65_534, 65_534);
    const starting = startTestServer({ path: join(runtime, 's.sock') });
    await expect(starting).rejects.toMatchObject({
      code: 'UNSAFE_PERMISSIONS',
      message: expect.stringContaining('belongs to another user (uid 65534)'),
    });
  });

  it.each([
    [0o711, false, 0o600],
    [0o755, true, 0o666],
  ])('is served in a folder of mode %o, which stays as it was', async (mode, servesOthers, socketMode) => {
    await using home = makeTempHome();
    const runtime = join(home.path, 'passed');
    await mkdir(runtime);
    await chmod(runtime, mode);
    await using test = await startTestServer({ path: join(runtime, 's.sock'), servesOthers: () => servesOthers });
    expect(test.server.connections).toBe(0);
    expect(statSync(runtime).mode & 0o777).toBe(mode);
    expect(statSync(join(runtime, 's.sock')).mode & 0o777).toBe(socketMode);
  });

  it('is made anew with its folder, for its owner only', async () => {
    await using test = await startTestServer();
    await rm(test.home.paths.runtime, { recursive: true });
    await test.server.restart();
    expect(statSync(test.home.paths.runtime).mode & 0o777).toBe(0o700);
    expect(statSync(test.socket).mode & 0o777).toBe(0o600);
  });

  it('is refused where its path is too long for one, with what to do', async () => {
    const starting = startTestServer({ path: `/tmp/${'x'.repeat(110)}` });
    await expect(starting).rejects.toMatchObject({
      code: 'BAD_REQUEST',
      hint: expect.stringContaining('AIPASSD_RUNTIME_DIR'),
    });
  });

  it("is refused where its path is taken: freeing it is not the server's to decide", async () => {
    await using test = await startTestServer();
    await expect(startTestServer({ path: test.socket })).rejects.toMatchObject({
      code: 'INTERNAL',
      message: expect.stringContaining(`cannot listen on ${test.socket}`),
    });
  });

  it('is refused in a folder that is only a link to one, with what to look at', async () => {
    await using home = makeTempHome();
    const link = join(home.path, 'link');
    await home.makeRuntime();
    await symlink(dirname(home.paths.socket), link);
    await expect(startTestServer({ path: join(link, 's.sock') })).rejects.toMatchObject({
      code: 'UNSAFE_PERMISSIONS',
      message: expect.stringContaining(link),
    });
  });
});
