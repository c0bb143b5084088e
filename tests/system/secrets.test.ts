import { appendFile, chmod, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { until } from '../support/until.ts';
import { LOCAL_KEY, createTestDaemon } from '../support/test-daemon.ts';

const KEY_A = 'key-aaaaaaaaaaaaaaaaaaaaaaaa';
const KEY_B = 'key-bbbbbbbbbbbbbbbbbbbbbbbb';

describe('secrets on disk, as clients see them', () => {
  it('a key added, changed and removed is served, served anew and gone', async () => {
    await using running = await createTestDaemon();
    const aipass = await running.connect();
    const changed = Promise.withResolvers<readonly string[]>();
    const off = aipass.on('secrets-changed', ({ names }) => changed.resolve(names));
    await aipass.status();
    await appendFile(running.home.paths.envFile, `EXTRA_API_KEY=${KEY_A}\n`);
    await until('the key is served', () => aipass.key('extra').catch(() => ''));
    expect(await aipass.key('extra')).toBe(KEY_A);
    expect(await changed.promise).toContain('EXTRA_API_KEY');
    off();

    // As editors do that write aside and rename.
    const draft = join(running.home.paths.secrets, '.env.swp');
    await writeFile(draft, `LOCAL_API_KEY=${LOCAL_KEY}\nexport EXTRA_API_KEY="${KEY_B}" # new\n`, { mode: 0o600 });
    await rename(draft, running.home.paths.envFile);
    await until('the new key is served', async () => (await aipass.key('extra')) === KEY_B);

    await writeFile(running.home.paths.envFile, `LOCAL_API_KEY=${LOCAL_KEY}\n`);
    await expect(until('the key is gone', () => aipass.key('extra').then(() => false))).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
  });

  it('a broken file leaves the last good values in use and is named in the status', async () => {
    await using running = await createTestDaemon();
    const aipass = await running.connect();
    await writeFile(running.home.paths.envFile, `LOCAL_API_KEY="${KEY_A}`);
    const warning = await until('the file is named', async () =>
      (await aipass.status()).warnings.find((one) => one.subject === running.home.paths.envFile),
    );
    expect(warning.hint).not.toBe('');
    expect(JSON.stringify(warning)).not.toContain(KEY_A);
    expect(await aipass.key('local')).toBe(LOCAL_KEY);
    const { providers } = await aipass.status();
    expect(providers.find(({ name }) => name === 'local')?.keys).toMatchObject([{ fromBefore: true }]);
    expect((await running.cli(['status'])).stdout).toMatch(/local .*1 key: ready \(from before/);
  });

  it('a file that others may write to is refused, one that they may read is served, both with the chmod that fixes them', async () => {
    await using running = await createTestDaemon();
    const aipass = await running.connect();
    const { envFile } = running.home.paths;
    const warningOf = async (problem: RegExp): Promise<string> =>
      until('the warning is there', async () => {
        const { warnings } = await aipass.status();
        return warnings.find((one) => one.subject === envFile && problem.test(one.problem))?.hint;
      });

    await writeFile(envFile, `LOCAL_API_KEY=${KEY_A}\n`);
    await chmod(envFile, 0o644);
    expect(await warningOf(/read/)).toBe(`chmod 600 ${envFile}`);
    await until('the key is served', async () => (await aipass.key('local')) === KEY_A);

    await chmod(envFile, 0o666);
    expect(await warningOf(/writ/)).toBe(`chmod 600 ${envFile}`);
    await writeFile(envFile, `LOCAL_API_KEY=${KEY_B}\n`);
    await until('the status is new', async () => (await aipass.status()).warnings.length > 0);
    expect(await aipass.key('local')).toBe(KEY_A);

    await chmod(envFile, 0o600);
    await until('the fixed file is served', async () => (await aipass.key('local')) === KEY_B);
  });

  it('opaque secrets are served as text and as documents, and a folder that appears later is seen', async () => {
    await using running = await createTestDaemon();
    const aipass = await running.connect();
    const folder = join(running.home.paths.secrets, 'telegram');
    await mkdir(folder, { mode: 0o700 });
    await writeFile(join(folder, 'bot.json'), JSON.stringify({ bot_token: KEY_A, chat: 7 }), { mode: 0o600 });
    await writeFile(join(folder, 'note'), ` ${KEY_B}\n`, { mode: 0o600 });
    await until('the secrets are there', async () => (await aipass.status()).secrets.count === 2);
    expect(await aipass.secret('telegram/bot')).toBe(KEY_A);
    expect(await aipass.secret('telegram/bot', { json: true })).toEqual({ bot_token: KEY_A, chat: 7 });
    expect(await aipass.secret('telegram/note')).toBe(KEY_B);

    await rm(folder, { recursive: true });
    await until('the secrets are gone', async () => (await aipass.status()).secrets.count === 0);
  });

  it.each([
    '../aipass/.env',
    'a/../../x',
    'oauth/google',
    '..',
    'x/',
    '/etc/passwd',
    'a/b/c',
    'a/.hidden',
    'a\u0000/b',
  ])('the name %j never leads out of the store', async (name) => {
    await using running = await createTestDaemon();
    const aipass = await running.connect();
    await expect(aipass.secret(name)).rejects.toMatchObject({ code: expect.stringMatching(/BAD_REQUEST|NOT_FOUND/) });
  });

  it('a key is gone with the folder, and back with it', async () => {
    await using running = await createTestDaemon();
    const aipass = await running.connect();
    const aside = `${running.home.paths.secrets}.aside`;
    await rename(running.home.paths.secrets, aside);
    await until('the key is gone', () =>
      aipass.key('local').then(
        () => false,
        () => true,
      ),
    );
    await rename(aside, running.home.paths.secrets);
    await until('the key is back', async () => (await aipass.key('local').catch(() => '')) === LOCAL_KEY);
  });
});
