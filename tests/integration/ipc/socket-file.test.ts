import { statSync } from 'node:fs';
import { chmod, mkdir, symlink } from 'node:fs/promises';
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

  it('shuts its folder to others', async () => {
    await using home = makeTempHome();
    const runtime = join(home.path, 'open');
    await mkdir(runtime);
    await chmod(runtime, 0o755);
    await using test = await startTestServer({ path: join(runtime, 's.sock') });
    expect(test.server.connections).toBe(0);
    expect(statSync(runtime).mode & 0o777).toBe(0o700);
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
      code: 'INTERNAL',
      hint: expect.stringContaining(link),
    });
  });
});
