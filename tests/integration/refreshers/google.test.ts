/**
 * Google's accounts, through Google's own library, against an endpoint on loopback.
 */

import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { Consents } from '../../../src/refreshers/consents.ts';
import { AccountFiles, makeAccounts, token, type Document } from '../../support/account-files.ts';
import { TokenEndpoint } from '../../support/token-endpoint.ts';
import { until } from '../../support/until.ts';

const DRIVE = 'https://www.googleapis.com/auth/drive.file';

/** Returns what google-auth for Python writes. */
function pythonForm(url: string, fields: Document = {}): Document {
  return {
    token: 'ya29.old',
    refresh_token: '1//refresh',
    token_uri: url,
    client_id: 'id.apps.googleusercontent.com',
    client_secret: 'GOCSPX-secret',
    scopes: [DRIVE],
    universe_domain: 'googleapis.com',
    account: '',
    expiry: '2026-01-01T00:00:00.123456Z',
    ...fields,
  };
}

describe('a Google client', () => {
  it('that no account uses is a warning with the consent to run, until there is an account', async () => {
    await using files = new AccountFiles();
    await files.write('google_client_secret.json', { installed: { client_id: 'id', client_secret: 'secret' } });
    const { accounts } = makeAccounts(files);
    await accounts.scan();
    expect(accounts.warnings()).toMatchObject([
      {
        subject: expect.stringContaining('google_client_secret.json'),
        hint: expect.stringContaining('aipassd reauth google'),
      },
    ]);
    await files.write('google_creds.json', pythonForm('https://127.0.0.1/token'));
    await accounts.scan();
    expect(accounts.warnings()).toEqual([]);
  });
});

it('a file whose name no account can have is a warning, and a hidden one is not', async () => {
  await using files = new AccountFiles();
  await files.write('oauth/emoji\u2603.json', { refresh_token: 'r-1' });
  await files.write('oauth/.hidden.json', { refresh_token: 'r-2' });
  const { accounts } = makeAccounts(files);
  await accounts.scan();
  expect(accounts.warnings()).toMatchObject([{ subject: expect.stringContaining('emoji\u2603.json') }]);
});

describe('a Google account', () => {
  it('in the form of google-auth for Python is renewed and stays in that form', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    await files.write('google_creds.json', pythonForm(endpoint.url, { rapt_token: 'kept' }));
    const { accounts } = makeAccounts(files);
    endpoint.reply = () => ({
      body: { access_token: 'ya29.new', expires_in: 3599, scope: DRIVE, token_type: 'Bearer' },
    });

    await expect(token(accounts, 'google')).resolves.toMatchObject({ accessToken: 'ya29.new', scopes: [DRIVE] });

    expect(await files.read('google_creds.json')).toEqual(
      pythonForm(endpoint.url, {
        type: 'authorized_user',
        token: 'ya29.new',
        expiry: '2026-03-01T12:59:59Z',
        rapt_token: 'kept',
      }),
    );
    expect(endpoint.requests[0]?.get('refresh_token')).toBe('1//refresh');
  });

  it('keeps a refresh token that Google replaced, which its library would lose', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    await files.write('google_creds.work.json', pythonForm(endpoint.url));
    const { accounts } = makeAccounts(files);
    endpoint.reply = () => ({ body: { access_token: 'ya29.new', expires_in: 3599, refresh_token: '1//second' } });

    await token(accounts, 'google.work');

    expect(await files.read('google_creds.work.json')).toMatchObject({ refresh_token: '1//second' });
  });

  it('asks once, although the library would repeat a failed request', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    await files.write('google_creds.json', pythonForm(endpoint.url));
    const { accounts } = makeAccounts(files);
    endpoint.reply = () => ({ status: 503, body: {} });

    await expect(token(accounts, 'google')).rejects.toMatchObject({ code: 'PROVIDER_UNAVAILABLE' });
    expect(endpoint.requests).toHaveLength(1);
    accounts.stop();
  });

  it('in the form of Node (authorized_user) and of the quickstarts is read, and unknown fields survive', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    const client = { client_id: 'id', client_secret: 'sec' };
    await files.write('google_creds.json', {
      type: 'authorized_user',
      ...client,
      refresh_token: '1//a',
      quota_project_id: 'mine',
      token_uri: endpoint.url,
    });
    await files.write('google_creds.quick.json', {
      access_token: 'ya29.q',
      refresh_token: '1//q',
      scope: DRIVE,
      token_type: 'Bearer',
      expiry_date: 1,
      token_uri: endpoint.url,
    });
    await files.write('google_client_secret.json', { installed: { ...client, redirect_uris: ['http://localhost'] } });
    const { accounts, clock } = makeAccounts(files);
    endpoint.reply = () => ({ body: { access_token: 'ya29.new', expires_in: 3600 } });

    await token(accounts, 'google');
    await token(accounts, 'google.quick');

    expect(await files.read('google_creds.json')).toMatchObject({ type: 'authorized_user', quota_project_id: 'mine' });
    expect(await files.read('google_creds.quick.json')).toMatchObject({
      access_token: 'ya29.new',
      expiry_date: clock.now() + 3_600_000,
      scope: DRIVE,
    });
  });

  it('a refusal explains the seven days of an app in testing', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    await files.write('google_creds.json', pythonForm(endpoint.url));
    const { accounts } = makeAccounts(files);
    endpoint.reply = () => ({
      status: 400,
      body: { error: 'invalid_grant', error_description: 'Token has been expired.' },
    });

    await expect(token(accounts, 'google')).rejects.toMatchObject({
      code: 'REAUTH_REQUIRED',
      message: expect.stringMatching(/in testing.*seven days.*six months.*changed password/s),
      hint: expect.stringContaining('aipassd reauth google'),
    });
    expect(endpoint.requests).toHaveLength(2);
  });

  it('never lends a Drive token for Calendar', async () => {
    await using files = new AccountFiles();
    await files.write(
      'google_creds.json',
      pythonForm('https://oauth2.googleapis.com/token', { expiry: '2026-03-01T13:00:00Z' }),
    );
    const { accounts } = makeAccounts(files);

    await expect(token(accounts, 'google', 0, ['calendar.readonly'])).rejects.toMatchObject({
      code: 'REAUTH_REQUIRED',
      hint: expect.stringContaining('calendar.readonly'),
    });
    await expect(token(accounts, 'google', 0, ['drive.file'])).resolves.toMatchObject({ accessToken: 'ya29.old' });
  });

  it('a service account signs for its token, which is held in memory and not written', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const document = {
      type: 'service_account',
      client_email: 'robot@project.iam.gserviceaccount.com',
      private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
      token_uri: endpoint.url,
    };
    await files.write('google_creds.robot.json', document);
    const { accounts } = makeAccounts(files);
    endpoint.reply = () => ({ body: { access_token: 'ya29.robot', expires_in: 3600, token_type: 'Bearer' } });

    await expect(token(accounts, 'google.robot')).resolves.toMatchObject({ accessToken: 'ya29.robot' });
    await expect(token(accounts, 'google.robot')).resolves.toMatchObject({ accessToken: 'ya29.robot' });

    expect(endpoint.requests).toHaveLength(1);
    expect(endpoint.requests[0]?.get('grant_type')).toBe('urn:ietf:params:oauth:grant-type:jwt-bearer');
    expect(await files.read('google_creds.robot.json')).toEqual(document);
  });

  it('a service account with a broken key is told so without a word to Google', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    const document = { type: 'service_account', client_email: 'r@p', private_key: 'nonsense', token_uri: endpoint.url };
    await files.write('google_creds.json', document);
    const { accounts } = makeAccounts(files);

    await expect(token(accounts, 'google')).rejects.toMatchObject({ message: expect.stringContaining('private_key') });
    expect(endpoint.requests).toHaveLength(0);
  });

  it('consent asks for offline access by the client file, and writes what google-auth for Python reads', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    await files.write('google_client_secret.json', { installed: { client_id: 'new-id', client_secret: 'new-secret' } });
    const { accounts, worker } = makeAccounts(files, { config: { google: { tokenEndpoint: endpoint.url } } });
    endpoint.reply = () => ({
      body: { access_token: 'ya29.c', refresh_token: '1//c', expires_in: 3600, scope: DRIVE },
    });

    const consented = await new Consents(worker).run(
      accounts.describe('google'),
      { scopes: ['drive.file', 'calendar'], device: false, port: 0, timeoutMs: 10_000 },
      (_flow, prompt) => {
        if (prompt.kind !== 'browser') return;
        const asked = new URL(prompt.url).searchParams;
        expect(asked.get('access_type')).toBe('offline');
        expect(asked.get('prompt')).toBe('consent');
        void fetch(`${prompt.redirectUri}?code=the-code&state=${asked.get('state') ?? ''}`);
      },
      new AbortController().signal,
    );

    expect(consented.refusedScopes).toEqual(['https://www.googleapis.com/auth/calendar']);
    expect(endpoint.requests[0]?.get('code_verifier')).toMatch(/^[\w-]{43}$/);
    expect(await files.read('google_creds.json')).toEqual({
      type: 'authorized_user',
      requested_scopes: ['https://www.googleapis.com/auth/drive.file', 'https://www.googleapis.com/auth/calendar'],
      token: 'ya29.c',
      refresh_token: '1//c',
      token_uri: endpoint.url,
      client_id: 'new-id',
      client_secret: 'new-secret',
      universe_domain: 'googleapis.com',
      account: '',
      scopes: [DRIVE],
      expiry: '2026-03-01T13:00:00Z',
    });
  });
});

it('a token of Google that lives for five minutes is renewed at half of its life, not at every look', async () => {
  await using endpoint = await TokenEndpoint.start();
  await using files = new AccountFiles();
  await files.write('google_creds.json', pythonForm(endpoint.url));
  const { accounts, clock } = makeAccounts(files);
  endpoint.reply = (_form, count) => ({ body: { access_token: `ya29.${count}`, expires_in: 300, scope: DRIVE } });
  await token(accounts, 'google');

  clock.advance(60_000);
  await accounts.tick();
  await token(accounts, 'google', 600_000);
  clock.advance(60_000);
  await accounts.tick();

  // The second was for a caller who wanted more validity than the first had left.
  expect(endpoint.requests).toHaveLength(2);
  clock.advance(100_000);
  await accounts.tick();
  expect(endpoint.requests).toHaveLength(3);
});

it('the device flow of Google, which calls its address verification_url and answers 428 until the user is done', async () => {
  await using endpoint = await TokenEndpoint.start();
  await using files = new AccountFiles();
  await files.write('google_client_secret.json', { installed: { client_id: 'id.apps', client_secret: 'GOCSPX-s' } });
  const config = { google: { deviceEndpoint: endpoint.url, tokenEndpoint: endpoint.url } };
  const { accounts, clock, worker } = makeAccounts(files, { config });
  const start = { device_code: 'dev', user_code: 'ABC-DEF', verification_url: 'https://www.google.com/device' };
  endpoint.reply = (form, count) => {
    if (!form.has('grant_type')) return { body: { ...start, expires_in: 1800, interval: 5 } };
    if (count === 2) return { status: 428, body: { error: 'authorization_pending' } };
    if (count === 3) return { status: 403, body: { error: 'slow_down' } };
    return { body: { access_token: 'ya29.dev', refresh_token: '1//dev', expires_in: 3599, scope: DRIVE } };
  };
  const prompts: unknown[] = [];
  let isDone = false;

  const consented = new Consents(worker)
    .run(
      accounts.describe('google'),
      { device: true, port: 0, timeoutMs: 1_000_000, scopes: ['drive.file'] },
      (_id, prompt) => prompts.push(prompt),
      new AbortController().signal,
    )
    .finally(() => {
      isDone = true;
    });
  consented.catch(() => {});
  await until('the consent', () => {
    clock.advance(5_000);
    return isDone;
  });

  await expect(consented).resolves.toMatchObject({ scopes: [DRIVE], renewable: true });
  expect(prompts).toMatchObject([{ verificationUri: 'https://www.google.com/device', userCode: 'ABC-DEF' }]);
  expect(await files.read('google_creds.json')).toMatchObject({ token: 'ya29.dev', refresh_token: '1//dev' });
});
