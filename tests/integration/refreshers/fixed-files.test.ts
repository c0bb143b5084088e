/**
 * No state is sticky. What was refused or could not be used is well again when its cause is gone,
 * and shows until then what to do.
 */

import { generateKeyPairSync } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { AccountFiles, makeAccounts, token, type Document } from '../../support/account-files.ts';
import { TokenEndpoint, type TokenReply } from '../../support/token-endpoint.ts';

const MINUTE = 60_000;

function account(url: string, fields: Document = {}): Document {
  return {
    token_endpoint: url,
    token_endpoint_auth_method: 'client_secret_post',
    client_id: 'app',
    client_secret: 'right-secret-0123',
    refresh_token: 'refresh-one',
    ...fields,
  };
}

const GRANTED: TokenReply = { body: { access_token: 'access-new', expires_in: 3600 } };

/** Answers as a provider does that knows one secret of its client. */
function checkSecret(form: URLSearchParams): TokenReply {
  const isRight = form.get('client_secret') === 'right-secret-0123';
  return isRight ? GRANTED : { status: 401, body: { error: 'invalid_client' } };
}

describe('a refused client', () => {
  it('is forgotten when its secret is fixed in the file, although the refresh token is the same', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    await files.write('oauth/test.json', account(endpoint.url, { client_secret: 'wrong' }));
    const { accounts } = makeAccounts(files);
    endpoint.reply = checkSecret;
    await expect(token(accounts, 'test')).rejects.toMatchObject({ code: 'REAUTH_REQUIRED' });

    await files.write('oauth/test.json', account(endpoint.url));

    await expect(token(accounts, 'test')).resolves.toMatchObject({ accessToken: 'access-new' });
    expect(await accounts.statuses()).toMatchObject([{ state: 'fresh', action: null }]);
  });

  it('is forgotten when its secret is fixed in the file of the client that several accounts share', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    const { client_id, client_secret, ...own } = account(endpoint.url);
    await files.write('oauth/test.json', { client_id, client_secret: 'wrong' });
    await files.write('oauth/test.work.json', own);
    const { accounts } = makeAccounts(files);
    endpoint.reply = checkSecret;
    await expect(token(accounts, 'test.work')).rejects.toMatchObject({ code: 'REAUTH_REQUIRED' });

    await files.write('oauth/test.json', { client_id, client_secret });

    await expect(token(accounts, 'test.work')).resolves.toMatchObject({ accessToken: 'access-new' });
  });

  it('is asked for anew at once when its secret is fixed while the refusal travels', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    await files.write('oauth/test.json', account(endpoint.url, { client_secret: 'wrong' }));
    const { accounts } = makeAccounts(files);
    endpoint.reply = async (form, count) => {
      if (count === 1) await files.write('oauth/test.json', account(endpoint.url));
      return checkSecret(form);
    };

    await expect(token(accounts, 'test')).resolves.toMatchObject({ accessToken: 'access-new' });
    expect(endpoint.requests).toHaveLength(2);
  });
});

describe('a service account', () => {
  it('that was refused because of a wrong clock is well again by itself, and nobody is sent to consent', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
    await files.write('google_creds.json', {
      type: 'service_account',
      client_email: 'robot@project.iam.gserviceaccount.com',
      private_key: key.export({ type: 'pkcs8', format: 'pem' }),
      token_uri: endpoint.url,
    });
    const { accounts, clock, outcomes } = makeAccounts(files);
    endpoint.reply = () => ({ status: 400, body: { error: 'invalid_grant', error_description: 'Invalid JWT' } });

    await expect(token(accounts, 'google')).rejects.toMatchObject({
      code: 'PROVIDER_REJECTED',
      message: expect.stringContaining('clock'),
      hint: expect.not.stringContaining('reauth'),
    });
    await accounts.tick();
    expect(endpoint.requests).toHaveLength(2);

    endpoint.reply = () => GRANTED;
    clock.advance(6 * MINUTE);
    await expect.poll(() => outcomes.at(-1)?.outcome.kind).toBe('refreshed');
    await expect(token(accounts, 'google')).resolves.toMatchObject({ accessToken: 'access-new' });
    accounts.stop();
  });
});

describe('a provider that is set up wrongly', () => {
  it('is told by what is missing where no token endpoint is known, and is well when it is written', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    await files.write('oauth/test.json', account(endpoint.url, { token_endpoint: undefined }));
    const { accounts } = makeAccounts(files);
    endpoint.reply = () => GRANTED;

    await expect(token(accounts, 'test')).rejects.toMatchObject({
      message: expect.stringContaining('no token endpoint is known'),
      hint: expect.stringContaining('"issuer"'),
    });
    expect(await accounts.statuses()).toMatchObject([{ action: expect.stringContaining('"issuer"') }]);

    await files.write('oauth/test.json', account(endpoint.url));
    await expect(token(accounts, 'test')).resolves.toMatchObject({ accessToken: 'access-new' });
  });

  it('is told where the issuer names itself otherwise, and its token endpoint is not asked', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    const { origin } = new URL(endpoint.url);
    await files.write('oauth/test.json', account(endpoint.url, { token_endpoint: undefined, issuer: origin }));
    const { accounts } = makeAccounts(files);
    endpoint.reply = () => ({ body: { issuer: 'https://other.example', token_endpoint: endpoint.url } });

    await expect(token(accounts, 'test')).rejects.toMatchObject({
      message: expect.stringContaining('another issuer'),
      hint: expect.stringContaining('issuer'),
    });
    expect(endpoint.requests.some((form) => form.has('refresh_token'))).toBe(false);
  });
});

describe('an answer that names no OAuth error', () => {
  it.each([
    ['a 403 of a gateway', 403, { message: 'Forbidden' }],
    ['a 404 of a framework', 404, { status: 404, error: 'Not Found', path: '/token' }],
    ['a limit under a name of its own', 403, { error: 'rate_limit_exceeded' }],
  ])('%s says nothing of the grant and is tried again', async (_name, status, body) => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    await files.write('oauth/test.json', account(endpoint.url));
    const { accounts, outcomes } = makeAccounts(files);
    endpoint.reply = () => ({ status, body });

    await expect(token(accounts, 'test')).rejects.toMatchObject({ code: 'PROVIDER_UNAVAILABLE' });
    expect(outcomes).toMatchObject([{ outcome: { kind: 'transient' } }]);
    accounts.stop();
  });

  it('but has the status of a refusal needs its user', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    await files.write('oauth/test.json', account(endpoint.url));
    const { accounts } = makeAccounts(files);
    endpoint.reply = () => ({ status: 400, body: { status: 'BAD_REFRESH_TOKEN' } });

    await expect(token(accounts, 'test')).rejects.toMatchObject({ code: 'REAUTH_REQUIRED' });
  });
});

it('a revocation that the provider refuses because of the client deletes nothing here', async () => {
  await using endpoint = await TokenEndpoint.start();
  await using files = new AccountFiles();
  const document = account(endpoint.url, { revocation_endpoint: endpoint.url });
  await files.write('oauth/test.json', document);
  const { accounts, worker } = makeAccounts(files);
  endpoint.reply = () => ({ status: 401, body: { error: 'invalid_client' } });

  const report = await worker.run({
    kind: 'revoke',
    account: accounts.describe('test'),
  });

  expect(report).toMatchObject({ kind: 'refused', error: { code: 'PROVIDER_REJECTED' } });
  expect(await files.read('oauth/test.json')).toEqual(document);
});

it('a revocation whose tokens cannot be deleted here tells that the provider has ended the grant', async () => {
  await using endpoint = await TokenEndpoint.start();
  await using files = new AccountFiles();
  await files.write('oauth/test.json', account(endpoint.url, { revocation_endpoint: endpoint.url }));
  const { accounts, worker } = makeAccounts(files);
  const { file } = accounts.describe('test');
  endpoint.reply = async () => {
    await rm(file);
    await mkdir(file);
    return { body: {} };
  };

  const report = await worker.run({ kind: 'revoke', account: accounts.describe('test') });

  expect(report).toMatchObject({
    kind: 'refused',
    error: {
      code: 'INTERNAL',
      message: expect.stringContaining('the provider has ended the grant'),
      hint: `delete ${file}`,
    },
  });
});
