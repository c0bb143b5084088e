/**
 * What real providers answer and what other programs write: the kinds of inputs of public bug
 * reports.
 */

import { createSign, generateKeyPairSync, verify } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { tokenTag } from '../../../src/protocol/token-tag.ts';
import { RefreshAlerts, type RefreshAlert } from '../../../src/refreshers/hooks.ts';
import { AccountFiles, makeAccounts, token, type Document } from '../../support/account-files.ts';
import { TokenEndpoint, type TokenReply } from '../../support/token-endpoint.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const LONG_TOKEN = 'a-refresh-token-that-nobody-guesses';

function account(url: string, fields: Document = {}): Document {
  return {
    token_endpoint: url,
    token_endpoint_auth_method: 'client_secret_post',
    client_id: 'app',
    client_secret: 'client-secret-value-123',
    scopes: ['read', 'write'],
    refresh_token: 'refresh-one',
    ...fields,
  };
}

function granted(fields: Document = {}): TokenReply {
  return { body: { access_token: 'access-new', token_type: 'Bearer', expires_in: 3600, ...fields } };
}

async function openOne(files: AccountFiles, endpoint: TokenEndpoint, fields: Document = {}) {
  await files.write('oauth/test.json', account(endpoint.url, fields));
  return makeAccounts(files);
}

async function statusOf(accounts: ReturnType<typeof makeAccounts>['accounts'], name = 'test') {
  return (await accounts.statuses()).find((one) => one.name === name);
}

describe('scopes that were asked for and not granted', () => {
  it('are shown until they are granted, and stay among those that every hint asks for', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    const scopes = ['offline_access', 'User.Read', 'Mail.Read'];
    const { accounts } = await openOne(files, endpoint, { scopes });
    endpoint.reply = () => granted({ scope: 'User.Read' });

    await token(accounts, 'test');
    expect(await statusOf(accounts)).toMatchObject({ scopes: ['User.Read'], missingScopes: ['Mail.Read'] });
    await expect(token(accounts, 'test', 0, ['Calendars.Read'])).rejects.toMatchObject({
      hint: 'run: aipassd reauth test --scopes offline_access,User.Read,Mail.Read,Calendars.Read',
    });
    expect(await files.read('oauth/test.json')).toMatchObject({ requested_scopes: scopes });

    endpoint.reply = () => granted({ access_token: 'access-2', scope: 'User.Read Mail.Read' });
    await accounts.refresh('test');
    expect(await statusOf(accounts)).toMatchObject({ missingScopes: [] });
  });
});

describe('a token of unknown age', () => {
  it.each([
    ['whose file has no end', {}],
    ['whose file has a lifetime without a begin', { expires_in: 3600 }],
    ['whose file has the zero time of Go', { expiry: '0001-01-01T00:00:00Z' }],
  ])('%s is settled by one refresh', async (_, fields) => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    const { accounts } = await openOne(files, endpoint, { access_token: 'dead', ...fields });
    endpoint.reply = () => granted();

    await expect(token(accounts, 'test')).resolves.toMatchObject({ accessToken: 'access-new' });
    await token(accounts, 'test');
    await accounts.tick();
    expect(endpoint.requests).toHaveLength(1);
  });

  it('is handed out where nothing can renew it', async () => {
    await using files = new AccountFiles();
    await files.write('oauth/test.json', { client_id: 'app', access_token: 'gho_x' });
    const { accounts, outcomes } = makeAccounts(files);

    await expect(token(accounts, 'test')).resolves.toMatchObject({ accessToken: 'gho_x', expiresAt: null });
    const [result] = await accounts.refresh();
    expect(result?.outcome).toMatchObject({ kind: 'kept', reason: expect.stringContaining('not known to expire') });
    expect(await statusOf(accounts)).toMatchObject({ state: 'fresh', action: null });
    expect(outcomes).toHaveLength(1);
  });

  it('that was obtained in the future is worth its lifetime at most', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    const { accounts, clock } = makeAccounts(files);
    const obtained = (clock.now() + 2 * HOUR) / 1000;
    await files.write(
      'oauth/test.json',
      account(endpoint.url, { access_token: 'old', obtained_at: obtained, expires_at: obtained + 3600 }),
    );

    await expect(token(accounts, 'test')).resolves.toMatchObject({ expiresAt: clock.now() + HOUR });
    endpoint.reply = () => granted();
    clock.suspend(HOUR);
    await expect(token(accounts, 'test')).resolves.toMatchObject({ accessToken: 'access-new' });
  });

  it.each([
    ['expires_at', { expires_at: Math.floor(Date.parse('2030-01-01T00:00:00Z') / 1000) }],
    ['an ISO time', { expires_at: '2030-01-01T00:00:00Z' }],
    [
      'the claim of a JSON Web Token',
      { access_token: `e30.${Buffer.from('{"exp":1893456000}').toString('base64url')}.x` },
    ],
  ])('has the end that the answer gives as %s', async (_, fields) => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    const { accounts } = await openOne(files, endpoint);
    endpoint.reply = () => granted({ expires_in: undefined, ...fields });

    await expect(token(accounts, 'test')).resolves.toMatchObject({ expiresAt: Date.parse('2030-01-01T00:00:00Z') });
  });
});

describe('a refresh token that ends', () => {
  it('before the access token is renewed in time, for as long as the session lasts', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    const { accounts, clock } = await openOne(files, endpoint);
    let until = 0;
    endpoint.reply = (_, count) => {
      if (count > 1 && clock.now() > until) return { status: 400, body: { error: 'invalid_grant' } };
      until = clock.now() + 30 * MINUTE;
      return granted({ access_token: `a${count}`, refresh_token: `r${count}`, refresh_expires_in: 1800 });
    };

    await token(accounts, 'test');
    for (let minute = 0; minute < 240; minute += 1) {
      clock.suspend(MINUTE);
      await accounts.tick();
    }
    expect(await statusOf(accounts)).toMatchObject({
      state: 'fresh',
      refreshExpiresAt: Math.floor(until / 1000) * 1000,
    });
    expect(endpoint.requests.length).toBeLessThan(15);
  });

  it('within a minute is renewed by a timer of its own, without any tick', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    const { accounts, clock, outcomes } = await openOne(files, endpoint);
    endpoint.reply = (_, count) =>
      granted({ access_token: `a${count}`, expires_in: 240, refresh_token: `r${count}`, refresh_expires_in: 60 });

    await token(accounts, 'test');
    for (let round = 2; round <= 5; round += 1) {
      clock.advance(50_000);
      await expect.poll(() => outcomes.length).toBe(round);
    }
    expect(outcomes.map(({ outcome }) => outcome.kind)).toEqual(Array<string>(5).fill('refreshed'));
    accounts.stop();
    expect(clock.waits).toEqual([]);
  });

  it.each([
    ['the retry of one that failed', () => ({ status: 503, body: {} })],
    ['the renewal of a short session', () => granted({ refresh_token: 'r', refresh_expires_in: 60 })],
  ])('%s is not planned when the daemon has stopped meanwhile', async (_, reply) => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    const { accounts, clock, outcomes } = await openOne(files, endpoint);
    endpoint.reply = () => {
      accounts.stop();
      return reply();
    };

    await accounts.refresh('test');

    expect(outcomes).toHaveLength(1);
    expect(clock.waits).toEqual([]);
  });

  it('at a time that refreshing does not move is counted down, and its user is warned days ahead, once', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    const { accounts, clock, outcomes } = await openOne(files, endpoint);
    const end = clock.now() + 7 * DAY;
    endpoint.reply = (_, count) =>
      granted({ access_token: `a${count}`, refresh_token_expires_in: Math.floor((end - clock.now()) / 1000) });
    const ran: RefreshAlert[] = [];
    const hooks = { onReauthRequired: ['warn'] };
    const alerts = new RefreshAlerts({ clock, hooks, publish: () => {}, runHook: (_, alert) => ran.push(alert) });
    const live = async (hours: number): Promise<void> => {
      for (let hour = 0; hour < hours; hour += 1) {
        clock.suspend(HOUR);
        await accounts.tick();
        alerts.tick(accounts);
      }
    };

    await token(accounts, 'test');
    await live(95);
    expect(ran).toEqual([]);
    await live(24);
    expect(ran.map(({ kind, account: name }) => [kind, name])).toEqual([['reauth-soon', 'test']]);
    expect(await statusOf(accounts)).toMatchObject({ action: expect.stringContaining('aipassd reauth test') });
    expect(outcomes.length).toBeLessThan(125);
  });
});

describe('files with the same grant', () => {
  it('are refreshed through one of them only, and the others are reported with both names', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    const one = account(endpoint.url, { refresh_token: LONG_TOKEN });
    await files.write('oauth/test.json', one);
    await files.write('oauth/music.json', { ...one, client_secret: 'another' });
    await files.write('oauth/test.sync-conflict-20261101-101112-ABCDEF7.json', one);
    await files.write('oauth/test.json.bak', one);
    // One from before, whose refresh token was spent since.
    await files.write('oauth/test.2026-11-01.json', { ...one, refresh_token: `${LONG_TOKEN}-of-yesterday` });
    const { accounts, worker } = makeAccounts(files);
    endpoint.reply = (_, count) => granted({ refresh_token: `${LONG_TOKEN}-${count}` });
    worker.jobs.length = 0;

    await accounts.scan();
    await accounts.tick();
    await accounts.tick();
    await expect(token(accounts, 'test')).resolves.toMatchObject({ accessToken: 'access-new' });
    await expect(token(accounts, 'music')).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(endpoint.requests.map((form) => form.get('refresh_token'))).toEqual([LONG_TOKEN]);
    const warnings = accounts.warnings().map(({ subject, problem }) => `${subject} ${problem}`);
    expect(warnings).toHaveLength(4);
    for (const warning of warnings) expect(warning).toContain('oauth/test.json');
    accounts.stop();

    // The copy is known as one after a restart too, although the original's token was rotated
    // since.
    const memories = new Map(Object.entries(accounts.remember()));
    const again = makeAccounts(files, { memories });
    await again.accounts.scan();
    await again.accounts.tick();
    expect(endpoint.requests).toHaveLength(1);
    again.accounts.stop();
  });

  it('are accounts of their own again when one of them goes', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    await files.write('oauth/test.json', account(endpoint.url));
    await files.write('oauth/test.new.json', account(endpoint.url));
    const { accounts } = makeAccounts(files);
    endpoint.reply = () => granted();
    await expect(token(accounts, 'test.new')).rejects.toMatchObject({ code: 'CONFLICT' });

    await files.remove('oauth/test.json');
    await accounts.scan();
    await expect(token(accounts, 'test.new')).resolves.toMatchObject({ accessToken: 'access-new' });
  });
});

describe('a token that an API refused', () => {
  it('is renewed once for all who report it, and no report can force refreshes without end', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    const { accounts, clock } = await openOne(files, endpoint);
    endpoint.reply = (_, count) => granted({ access_token: `a${count}` });
    const first = await token(accounts, 'test');
    const refusing = (value: string) =>
      Promise.resolve(accounts.token('test', { minValidMs: 60_000, scopes: [], refused: tokenTag(value) }));

    const answers = await Promise.all(Array.from({ length: 50 }, () => refusing(first.accessToken)));
    expect(new Set(answers.map(({ accessToken }) => accessToken))).toEqual(new Set(['a2']));
    await expect(refusing(first.accessToken)).resolves.toMatchObject({ accessToken: 'a2' });
    expect(endpoint.requests).toHaveLength(2);

    let { accessToken } = await token(accounts, 'test');
    for (let report = 0; report < 20; report += 1) accessToken = (await refusing(accessToken)).accessToken;
    expect(endpoint.requests).toHaveLength(4);
    clock.advance(MINUTE);
    await refusing(accessToken);
    expect(endpoint.requests).toHaveLength(5);
  });

  it('leaves a caller without the right to administer only so many refreshes', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    const { accounts } = await openOne(files, endpoint);
    endpoint.reply = (_, count) => granted({ access_token: `a${count}` });

    const kinds: string[] = [];
    for (let count = 0; count < 10; count += 1) {
      const [result] = await accounts.refresh('test', true);
      kinds.push(result?.outcome.kind ?? 'none');
    }
    expect(kinds).toEqual([...Array<string>(3).fill('refreshed'), ...Array<string>(7).fill('kept')]);
    expect(endpoint.requests).toHaveLength(3);
  });
});

describe('an answer in a shape of its own', () => {
  it.each([
    ['a form', 'access_token=A1&expires_in=28800&refresh_token=R1&scope=&token_type=bearer', 'R1'],
    ['JSON with a byte order mark', '\uFEFF{"access_token":"A1","expires_in":3600}', 'refresh-one'],
    ['tokens inside an object', { code: 0, data: { access_token: 'A1', expires_in: 3600 }, msg: 'ok' }, 'refresh-one'],
    ['an empty refresh token', { access_token: 'A1', expires_in: 3600, refresh_token: '' }, 'refresh-one'],
    [
      'a token of 64 KiB',
      { access_token: 'A1', expires_in: 3600, refresh_token: 'r'.repeat(65_536) },
      'r'.repeat(65_536),
    ],
    ['a refresh token beyond ASCII', { access_token: 'A1', expires_in: 3600, refresh_token: 'rötlich' }, 'rötlich'],
  ])('is read: %s', async (_, body, refreshToken) => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    const { accounts } = await openOne(files, endpoint);
    endpoint.reply = () => ({ body });

    await expect(token(accounts, 'test')).resolves.toMatchObject({ accessToken: 'A1' });
    expect(await files.read('oauth/test.json')).toMatchObject({ refresh_token: refreshToken });
  });

  it.each([
    ['DPoP', { token_type: 'DPoP' }, /DPoP/],
    ['MAC', { token_type: 'mac' }, /mac/],
    ['an access token that a header cannot have', { access_token: 'a\nb' }, /header/],
    ['an access token without end', { access_token: 'a'.repeat(200_000) }, /too long/],
    ['no access token', { access_token: undefined }, /no access token/],
  ])('is refused by name, and its new refresh token is kept: %s', async (_, fields, reason) => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    const { accounts } = await openOne(files, endpoint);
    endpoint.reply = () => granted({ refresh_token: 'refresh-two', ...fields });

    await expect(token(accounts, 'test')).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringMatching(reason),
    });
    expect(await files.read('oauth/test.json')).toMatchObject({ refresh_token: 'refresh-two' });
    expect(endpoint.requests).toHaveLength(1);
    accounts.stop();
  });
});

describe("a provider's own words", () => {
  it.each([
    ['Zoho', 400, { error: 'Access Denied', error_description: 'You have made too many requests continuously.' }],
    ['Zoho with status 200', 200, { error: 'Access Denied', error_description: 'too many requests' }],
    ['Exact Online', 400, { error: 'access_denied', error_description: 'Rate limit exceeded: refresh_token' }],
    ['AWS', 400, { __type: 'TooManyRequestsException', message: 'Rate exceeded' }],
    ['an API gateway', 403, { error: { code: 403, message: 'Rate Limit Exceeded' } }],
    ['Google', 400, { error: 'quota_exceeded', error_description: 'Quota exceeded' }],
    ['another field', 400, { error: '', message: 'Throttled', errorCode: 'Throttling' }],
    ['no code', 400, { message: 'Too many requests' }],
  ])('for a limit are not taken for the end of the grant: %s', async (_, status, body) => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    const { accounts } = await openOne(files, endpoint);
    endpoint.reply = () => ({ status, body });

    await expect(token(accounts, 'test')).rejects.toMatchObject({ code: 'PROVIDER_UNAVAILABLE' });
    expect(endpoint.requests).toHaveLength(1);
    accounts.stop();
  });

  it.each([
    [
      'invalid_rapt',
      { error: 'invalid_grant', error_subtype: 'invalid_rapt', error_description: 'reauth' },
      'administrator',
    ],
    [
      'deleted client',
      { error: 'deleted_client', error_description: 'The OAuth client was deleted.' },
      'new OAuth client',
    ],
    ['organization', { error: 'org_internal' }, 'of that organization'],
    ['policy', { error: 'admin_policy_enforced' }, 'administrator'],
    ['restricted', { error: 'access_denied', error_description: 'Account restricted' }, 'administrator'],
    ['Entra', { error: 'invalid_grant', error_description: 'AADSTS65001: … has not consented' }, 'administrator'],
  ])('are followed by a remedy that can work: %s', async (_, body, remedy) => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    await files.write('google_creds.json', {
      ...account(endpoint.url, { token_uri: endpoint.url }),
      type: 'authorized_user',
    });
    const { accounts } = makeAccounts(files);
    endpoint.reply = () => ({ status: 400, body });

    await expect(token(accounts, 'google')).rejects.toMatchObject({
      message: expect.stringContaining(body.error),
      hint: expect.stringContaining(remedy),
    });
  });

  it('are masked where they hold a secret that was sent, encoded or not', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    const { accounts } = await openOne(files, endpoint, { refresh_token: LONG_TOKEN });
    const base64 = Buffer.from(LONG_TOKEN).toString('base64');
    endpoint.reply = () => ({
      status: 400,
      body: { error: 'invalid_grant', error_description: `bad ${LONG_TOKEN} or ${base64}` },
    });

    const failure = await token(accounts, 'test').catch((error: unknown) => String(error));
    expect(failure).toContain('invalid_grant');
    expect(failure).not.toContain(LONG_TOKEN);
    expect(failure).not.toContain(base64.slice(0, 40));
  });

  it.each(['', '/'])(
    'do not matter where the issuer is wrong: its name and the address are reported (%j)',
    async (slash) => {
      await using endpoint = await TokenEndpoint.start();
      await using files = new AccountFiles();
      const issuer = `${new URL(endpoint.url).origin}/realms/wrong${slash}`;
      const { accounts } = await openOne(files, endpoint, { token_endpoint: undefined, issuer });
      endpoint.reply = () => ({ status: 404, body: { error: 'Realm does not exist' } });

      await expect(token(accounts, 'test')).rejects.toMatchObject({
        message: expect.stringContaining(issuer),
        hint: expect.stringContaining('"issuer"'),
      });
      accounts.stop();
    },
  );
});

describe('parameters of a request', () => {
  it.each([
    [{ audience: 'https://api/' }, { audience: ['https://api/'] }],
    [{ resource: ['https://a/', 'https://b/'] }, { resource: ['https://a/', 'https://b/'] }],
    [{ token_params: { audience: 'x', extra: 'y' } }, { audience: ['x'], extra: ['y'] }],
  ])('%j reach the token endpoint, with a refresh and with client credentials', async (fields, expected) => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    await files.write('oauth/test.json', account(endpoint.url, fields));
    await files.write(
      'oauth/robot.json',
      account(endpoint.url, { ...fields, refresh_token: undefined, grant_type: 'client_credentials' }),
    );
    const { accounts } = makeAccounts(files);
    endpoint.reply = () => granted();

    await token(accounts, 'test');
    await token(accounts, 'robot');
    for (const form of endpoint.requests) {
      for (const [name, values] of Object.entries(expected)) expect(form.getAll(name)).toEqual(values);
    }
    expect(endpoint.requests.map((form) => form.get('grant_type'))).toEqual(['refresh_token', 'client_credentials']);
  });

  it('prove the client by the other method where the provider refuses the first, and nothing says which', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    const { accounts } = await openOne(files, endpoint, { token_endpoint_auth_method: undefined });
    endpoint.reply = (form) =>
      form.has('client_secret') ? granted() : { status: 401, body: { error: 'invalid_client' } };

    await expect(token(accounts, 'test')).resolves.toMatchObject({ accessToken: 'access-new' });
    expect(endpoint.requests).toHaveLength(2);
  });

  it.each([
    ['rsa', 'RS256'],
    ['ec', 'ES256'],
    ['ed25519', 'Ed25519'],
  ] as const)('prove the client with its private key (%s)', async (type, algorithm) => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    const { privateKey, publicKey } =
      type === 'rsa'
        ? generateKeyPairSync('rsa', { modulusLength: 2048 })
        : type === 'ec'
          ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
          : generateKeyPairSync('ed25519');
    const key =
      type === 'ec' ? privateKey.export({ format: 'jwk' }) : privateKey.export({ type: 'pkcs8', format: 'pem' });
    const { accounts } = await openOne(files, endpoint, {
      client_secret: undefined,
      token_endpoint_auth_method: 'private_key_jwt',
      private_key: key,
    });
    endpoint.reply = () => granted();

    await token(accounts, 'test');
    const assertion = endpoint.requests[0]?.get('client_assertion') ?? '';
    const [header = '', claims = '', signature = ''] = assertion.split('.');
    expect(JSON.parse(Buffer.from(header, 'base64url').toString())).toMatchObject({ alg: algorithm });
    expect(JSON.parse(Buffer.from(claims, 'base64url').toString())).toMatchObject({ iss: 'app', sub: 'app' });
    const isValid = verify(
      type === 'ed25519' ? null : 'sha256',
      Buffer.from(`${header}.${claims}`),
      type === 'ec' ? { key: publicKey, dsaEncoding: 'ieee-p1363' } : publicKey,
      Buffer.from(signature, 'base64url'),
    );
    expect(isValid).toBe(true);
  });

  it.each([
    ['ES384', generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey],
    ['ES512', generateKeyPairSync('ec', { namedCurve: 'P-521' }).privateKey],
  ])('prove the client with %s where its key is of that curve', async (algorithm, key) => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    const { accounts } = await openOne(files, endpoint, {
      token_endpoint_auth_method: undefined,
      private_key: key.export({ type: 'sec1', format: 'pem' }),
    });
    endpoint.reply = () => granted();

    await token(accounts, 'test');
    const [header = ''] = (endpoint.requests[0]?.get('client_assertion') ?? '').split('.');
    expect(JSON.parse(Buffer.from(header, 'base64url').toString())).toMatchObject({ alg: algorithm });
  });

  it.each([
    ['of a curve without an algorithm', generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey],
    ['that is too short', generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey],
  ])('are not sent with a private key %s', async (_, key) => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    const { accounts } = await openOne(files, endpoint, {
      token_endpoint_auth_method: undefined,
      private_key: key.export({ type: 'pkcs8', format: 'pem' }),
    });

    await expect(token(accounts, 'test')).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('cannot sign'),
      hint: expect.stringContaining('private_key'),
    });
    expect(endpoint.requests).toEqual([]);
    accounts.stop();
  });

  it("sign a service account's assertion for the token endpoint of its file", async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
    await files.write('google_creds.json', {
      type: 'service_account',
      client_email: 'robot@project.iam.gserviceaccount.com',
      private_key_id: 'key-1',
      private_key: key.export({ type: 'pkcs8', format: 'pem' }),
      token_uri: endpoint.url,
    });
    const { accounts, clock } = makeAccounts(files);
    endpoint.reply = () => granted();

    await token(accounts, 'google');
    const assertion = endpoint.requests[0]?.get('assertion') ?? '';
    const [header = '', claims = '', signature = ''] = assertion.split('.');
    expect(JSON.parse(Buffer.from(claims, 'base64url').toString())).toMatchObject({
      aud: endpoint.url,
      iat: Math.floor(clock.now() / 1000),
    });
    expect(JSON.parse(Buffer.from(header, 'base64url').toString())).toMatchObject({ alg: 'RS256', kid: 'key-1' });
    expect(signature).toBe(createSign('RSA-SHA256').update(`${header}.${claims}`).sign(key, 'base64url'));
  });
});

it.each(['impersonated_service_account', 'external_account'])('a file of type %s is refused by name', async (type) => {
  await using files = new AccountFiles();
  await files.write('google_creds.json', { type, source_credentials: { type: 'authorized_user', refresh_token: 'R' } });
  const { accounts } = makeAccounts(files);

  await expect(token(accounts, 'google')).rejects.toMatchObject({
    code: 'UNSUPPORTED',
    message: expect.stringContaining(`"${type}"`),
  });
});

it("gcloud's application default credentials are used in place, and what gcloud writes meanwhile wins", async () => {
  await using endpoint = await TokenEndpoint.start();
  await using files = new AccountFiles();
  const adc = { account: '', client_id: 'c', client_secret: 'x', quota_project_id: 'p', type: 'authorized_user' };
  await files.write('gcloud/adc.json', { ...adc, refresh_token: 'R', token_uri: endpoint.url });
  const { accounts, clock } = makeAccounts(files, {
    config: { google: { files: { adc: files.path('gcloud/adc.json') } } },
  });
  endpoint.reply = () => granted();

  await expect(token(accounts, 'google.adc')).resolves.toMatchObject({ accessToken: 'access-new' });
  expect(await files.read('gcloud/adc.json')).toMatchObject({ ...adc, refresh_token: 'R', token: 'access-new' });

  endpoint.reply = async () => {
    await files.write('gcloud/adc.json', { ...adc, refresh_token: 'R2', token_uri: endpoint.url });
    endpoint.reply = () => granted({ access_token: 'access-2' });
    return granted({ access_token: 'lost' });
  };
  clock.suspend(HOUR);
  await accounts.tick();
  expect(await files.read('gcloud/adc.json')).toMatchObject({ refresh_token: 'R2', token: 'access-2' });
  expect(endpoint.requests.map((form) => form.get('refresh_token'))).toEqual(['R', 'R', 'R2']);
});
