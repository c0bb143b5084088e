/**
 * OAuth accounts through the built daemon and the built command line.
 */

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { drive_v3 } from 'googleapis';
import { describe, expect, it } from 'vitest';
import { connect, withRetry } from '../../src/client/index.ts';
import { tokenTag } from '../../src/protocol/token-tag.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { GoogleApi } from '../support/google-api.ts';
import { oauthDocument, type Document } from '../support/account-files.ts';
import { OauthServer } from '../support/oauth-server.ts';
import { CLI_PATH, runCli } from '../support/run-cli.ts';
import { Program } from '../support/run-program.ts';
import { makeTempHome, type TempHome } from '../support/temp-home.ts';
import { TokenEndpoint } from '../support/token-endpoint.ts';
import { until } from '../support/until.ts';

async function writeAccount(home: TempHome, name: string, document: Document): Promise<string> {
  await mkdir(join(home.paths.secrets, 'oauth'), { recursive: true, mode: 0o700 });
  const path = join(home.paths.secrets, name);
  await writeFile(path, JSON.stringify(document), { mode: 0o600 });
  return path;
}

function googleDocument(url: string, scope: string): Document {
  return { client_id: 'id', client_secret: 'sec', refresh_token: '1//r', token_uri: url, scopes: [scope] };
}

const DRIVE = 'https://www.googleapis.com/auth/drive.readonly';
const TASKS = 'https://www.googleapis.com/auth/tasks';

describe('the daemon with an OAuth account', () => {
  it('asks the token endpoint once for two hundred clients at once', async () => {
    await using server = await OauthServer.start();
    await using home = makeTempHome();
    await using daemon = await DaemonProcess.start(home);
    await writeAccount(home, 'oauth/test.json', oauthDocument(server.issuer, { refresh_token: await server.grant() }));
    const clients = await Promise.all(Array.from({ length: 200 }, () => connect({ socket: home.paths.socket })));

    const values = await Promise.all(clients.map((client) => client.token('test')));
    await Promise.all(clients.map((client) => client.close()));

    expect(new Set(values.map(({ accessToken }) => accessToken)).size).toBe(1);
    expect(server.tokenCalls).toBe(1);
    expect(daemon.stdout).not.toContain(values[0]?.accessToken);
  });

  it('prints a token, status, a refresh and a revocation on the command line', async () => {
    await using server = await OauthServer.start();
    await using home = makeTempHome();
    const path = await writeAccount(
      home,
      'oauth/test.json',
      oauthDocument(server.issuer, { refresh_token: await server.grant() }),
    );
    await using running = await DaemonProcess.start(home);
    expect(running.isRunning).toBe(true);

    const printed = await runCli(home, ['token', 'test']);
    expect(printed).toMatchObject({ code: 0, stderr: '' });
    expect(await readFile(path, 'utf8')).toContain(printed.stdout.trim());
    expect((await runCli(home, ['refresh', 'test'])).stdout).toContain('test  refreshed');
    const status = await runCli(home, ['status']);
    expect(status.stdout).toMatch(/Accounts\n {2}test {2}fresh, expires in 59 min .*oauth/);
    expect(await runCli(home, ['validate', 'test', '--online'])).toMatchObject({ code: 0 });
    await home.writeKeys({ TEST_API_KEY: 'a-key-of-the-same-name' });
    const both = await until('the key too', async () => {
      const { stdout } = await runCli(home, ['validate', 'test']);
      return stdout.includes('TEST_API_KEY') && stdout;
    });
    expect(both).toMatch(/^test {2}valid: fresh.*\ntest {2}TEST_API_KEY {2}a-key-\*{4}name {2}valid: /);
    expect((await runCli(home, ['revoke', 'test'])).stdout).toContain('test: ');
    const gone = await runCli(home, ['token', 'test']);
    expect(gone).toMatchObject({ code: 2, stdout: '' });
    expect(gone.stderr).toContain('REAUTH_REQUIRED');
    expect(await runCli(home, ['validate', 'test'])).toMatchObject({ code: 2 });
    expect((await runCli(home, ['reauth', 'gogle'])).stderr).toContain('did you mean "google"?');
    expect((await runCli(home, ['token', 'tset'])).stderr).toContain('did you mean "test"?');
    expect((await runCli(home, ['validate', 'google'])).stderr).toContain('no Google account yet');
  });

  it('has a headless user consent by pasting the address, forced although the old token works', async () => {
    await using server = await OauthServer.start();
    await using home = makeTempHome();
    const path = await writeAccount(
      home,
      'oauth/test.json',
      oauthDocument(server.issuer, { refresh_token: await server.grant() }),
    );
    await using running = await DaemonProcess.start(home);
    expect(running.isRunning).toBe(true);
    const before = await runCli(home, ['token', 'test']);

    // The address can only be pasted after it was printed, so a shell keeps standard input open
    // until then.
    const fifo = join(home.path, 'paste');
    const script = `mkfifo ${fifo}; exec ${process.execPath} ${CLI_PATH} reauth test --no-browser --scopes read <>${fifo}`;
    await using reauth = new Program('/bin/sh', ['-c', script], { env: home.env, cwd: home.path });
    const url = await until('the address', () => /^http:\S+$/m.exec(reauth.stderr)?.[0]);
    await writeFile(fifo, `${await server.consent(url)}\n`);
    const { code, stdout } = await reauth.ended;

    expect(code).toBe(0);
    expect(stdout).toContain('test: consented');
    const after = await runCli(home, ['token', 'test', '--json']);
    expect(JSON.parse(after.stdout)).toMatchObject({ scopes: ['read'] });
    expect(after.stdout).not.toContain(before.stdout.trim());
    expect(await readFile(path, 'utf8')).toContain('"client_id"');
    expect((await runCli(home, ['token', 'test', '--scopes', 'write'])).stderr).toContain('--scopes read,write');
  });

  it('tells subscribers and a hook when an account needs its user', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using home = makeTempHome();
    const told = join(home.path, 'told');
    await home.writeConfig({
      hooks: { onReauthRequired: ['/bin/sh', '-c', `cat > ${told}.tmp; mv ${told}.tmp ${told}`] },
    });
    endpoint.reply = () => ({ status: 400, body: { error: 'invalid_grant' } });
    await using running = await DaemonProcess.start(home);
    expect(running.isRunning).toBe(true);
    await using aipass = await connect({ socket: home.paths.socket });
    const events: string[] = [];
    aipass.on('reauth-required', ({ account }) => events.push(account));
    await aipass.status();

    await writeAccount(home, 'google_creds.json', googleDocument(endpoint.url, DRIVE));
    await expect(aipass.token('google')).rejects.toMatchObject({ code: 'REAUTH_REQUIRED' });

    await until('the event', () => events.length > 0);
    const notice = await until('the hook', () => readFile(told, 'utf8').catch(() => ''));
    expect(JSON.parse(notice)).toMatchObject({ kind: 'reauth-required', account: 'google' });
    const [status] = (await aipass.status()).accounts;
    expect(status).toMatchObject({
      name: 'google',
      state: 'reauth-required',
      action: expect.stringContaining('aipassd reauth google'),
    });
  });
});

it('a refusal outlives the daemon, so that a restart neither repeats it at the provider nor forgets the reason', async () => {
  await using endpoint = await TokenEndpoint.start();
  await using home = makeTempHome();
  endpoint.reply = () => ({ status: 400, body: { error: 'invalid_grant' } });
  const path = await writeAccount(home, 'google_creds.json', googleDocument(endpoint.url, DRIVE));
  {
    await using first = await DaemonProcess.start(home);
    expect(first.isRunning).toBe(true);
    const state = await until('the state', async () => {
      const text = await readFile(join(home.paths.state, 'state.json'), 'utf8').catch(() => '');
      return text.includes('invalid_grant') && text;
    });
    expect(state).not.toContain('1//r');
  }
  expect(endpoint.requests).toHaveLength(2);

  await using second = await DaemonProcess.start(home);
  expect(second.isRunning).toBe(true);
  await using aipass = await connect({ socket: home.paths.socket });
  expect((await aipass.status()).accounts).toMatchObject([
    { state: 'reauth-required', lastOutcome: { kind: 'rejected', reason: expect.stringContaining('invalid_grant') } },
  ]);
  await expect(aipass.token('google')).rejects.toMatchObject({ code: 'REAUTH_REQUIRED' });
  expect(endpoint.requests).toHaveLength(2);

  endpoint.reply = () => ({ body: { access_token: 'ya29.new', expires_in: 3600, scope: DRIVE } });
  await writeFile(path, JSON.stringify({ ...googleDocument(endpoint.url, DRIVE), refresh_token: '1//new' }));
  await expect(aipass.token('google')).resolves.toMatchObject({ accessToken: 'ya29.new' });
});

it('a token that an API refused is renewed when its tag, or the token by standard input, is reported', async () => {
  await using endpoint = await TokenEndpoint.start();
  await using home = makeTempHome();
  endpoint.reply = (_, count) => ({ body: { access_token: `ya29.${count}`, expires_in: 3600 } });
  await writeAccount(home, 'google_creds.json', googleDocument(endpoint.url, DRIVE));
  await using running = await DaemonProcess.start(home);
  expect(running.isRunning).toBe(true);

  const tokenOf = async (args: readonly string[], stdin?: string): Promise<string> =>
    (await runCli(home, ['token', 'google', ...args], stdin === undefined ? {} : { stdin })).stdout.trim();
  const first = await tokenOf([]);
  const second = await tokenOf(['--refused', '-'], `${first}\n`);
  expect(second).not.toBe(first);
  expect(await tokenOf(['--refused', tokenTag(first)])).toBe(second);
  expect(await tokenOf(['--refused', tokenTag(second)])).not.toBe(second);
  expect(endpoint.requests).toHaveLength(3);
});

describe('a service of googleapis', () => {
  it('works with tokens from the daemon, also after one expired and over a connection that broke', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using api = await GoogleApi.start();
    await using home = makeTempHome();
    let count = 0;
    endpoint.reply = () => ({ body: { access_token: `ya29.${++count}`, expires_in: 61, scope: DRIVE } });
    await writeAccount(home, 'google_creds.json', googleDocument(endpoint.url, DRIVE));
    await using running = await DaemonProcess.start(home);
    expect(running.isRunning).toBe(true);
    await using aipass = await connect({ socket: home.paths.socket });
    const drive = await aipass.drive<drive_v3.Drive>('v3', { options: { rootUrl: api.rootUrl } });

    const first = await drive.files.list();
    await aipass.request('oauth.refresh', { name: 'google' });
    api.failures = 1;
    const second = await withRetry(() => drive.files.list({}, { retry: false }), { minDelayMs: 1 });

    expect([first.data.files?.[0]?.name, second.data.files?.[0]?.name]).toEqual(['notes', 'notes']);
    const sent = api.requests.map(({ authorization }) => authorization);
    expect(sent[0]).toMatch(/^Bearer ya29\./);
    expect(sent.at(-1)).toBe(`Bearer ya29.${count}`);
    expect(sent.at(-1)).not.toBe(sent[0]);
    expect(api.requests[0]?.path).toContain('/drive/v3/files');
  });

  it('repeats a request whose token the API refuses, with a token that was renewed for it', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using api = await GoogleApi.start();
    await using home = makeTempHome();
    let count = 0;
    endpoint.reply = () => ({ body: { access_token: `ya29.${++count}`, expires_in: 3600, scope: DRIVE } });
    await writeAccount(home, 'google_creds.json', googleDocument(endpoint.url, DRIVE));
    await using running = await DaemonProcess.start(home);
    expect(running.isRunning).toBe(true);
    await using aipass = await connect({ socket: home.paths.socket });
    const { accessToken } = await aipass.token('google');
    api.refusedToken = accessToken;
    const drive = await aipass.drive<drive_v3.Drive>('v3', { options: { rootUrl: api.rootUrl } });

    expect((await drive.files.list()).data.files?.[0]?.name).toBe('notes');
    expect(api.requests.map(({ authorization }) => authorization)).toEqual([
      `Bearer ${accessToken}`,
      `Bearer ya29.${count}`,
    ]);
    expect((await aipass.token('google')).accessToken).toBe(`ya29.${count}`);
  });

  it('is refused a token that is for something else, and a name that googleapis does not know', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using api = await GoogleApi.start();
    await using home = makeTempHome();
    endpoint.reply = () => ({ body: { access_token: 'ya29.a', expires_in: 3600, scope: DRIVE } });
    await writeAccount(home, 'google_creds.json', { ...googleDocument(endpoint.url, DRIVE), scopes: [DRIVE, TASKS] });
    await using running = await DaemonProcess.start(home);
    expect(running.isRunning).toBe(true);
    await using aipass = await connect({ socket: home.paths.socket });
    const options = { options: { rootUrl: api.rootUrl } };
    const calendar = await aipass.google<{ calendarList: { list(): Promise<unknown> } }>('calendar', 'v3', options);

    await expect(calendar.calendarList.list()).rejects.toMatchObject({
      code: 'REAUTH_REQUIRED',
      // Also the scope that was asked for and not granted.
      hint: `run: aipassd reauth google --scopes ${DRIVE},${TASKS},https://www.googleapis.com/auth/calendar`,
    });
    expect(api.requests).toHaveLength(0);
    await expect(aipass.google('teleporter')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(aipass.google('../../x')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(aipass.google('drive', 'v99')).rejects.toMatchObject({ hint: expect.stringContaining('v3') });
  });
});

it('a request of aipass.fetch for an account carries its token, and a refused token costs one call', async () => {
  await using endpoint = await TokenEndpoint.start();
  await using api = await GoogleApi.start();
  await using home = makeTempHome();
  let count = 0;
  endpoint.reply = () => ({ body: { access_token: `access-${++count}`, expires_in: 3600 } });
  const fields = { client_id: 'id', refresh_token: 'a-refresh-token', token_endpoint: endpoint.url };
  await writeAccount(home, 'oauth/music.work.json', fields);
  await using running = await DaemonProcess.start(home);
  expect(running.isRunning).toBe(true);
  await using aipass = await connect({ socket: home.paths.socket });
  const { accessToken } = await aipass.token('music.work');
  const tokens = endpoint.requests.length;
  api.refusedToken = accessToken;

  const answers = await Promise.all(
    [1, 2, 3].map(() => aipass.fetch(`${api.rootUrl}v1/me`, { account: 'music.work', method: 'POST', body: '{}' })),
  );

  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
  expect(endpoint.requests).toHaveLength(tokens + 1);
  expect(api.requests.at(-1)?.authorization).toBe(`Bearer access-${count}`);
  expect((await aipass.token('music.work')).accessToken).toBe(`access-${count}`);
  await expect(aipass.fetch(api.rootUrl, { account: 'music.home' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
});
