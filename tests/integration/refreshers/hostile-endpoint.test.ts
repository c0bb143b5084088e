/**
 * Token endpoints at their worst, files at their worst, and what is served meanwhile.
 */

import { chmod } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { AccountFiles, makeAccounts, token, type Document } from '../../support/account-files.ts';
import { TokenEndpoint, type TokenReply } from '../../support/token-endpoint.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

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

describe('a token endpoint that does not give a token', () => {
  const transient: readonly [string, TokenReply, RegExp][] = [
    ['a 500', { status: 500, body: { error: 'server_error' } }, /status 500/],
    ['a 408', { status: 408, body: {} }, /status 408/],
    ['a 425', { status: 425, body: {} }, /status 425/],
    ['HTML with status 200', { html: '<html>log in to the hotel</html>' }, /not an OAuth answer/],
    ['HTML with status 403', { status: 403, html: '<html>no</html>' }, /not an OAuth answer/],
    ['half a document', { body: '{"access_token": "acc' }, /not an OAuth answer/],
    ['an empty document', { body: {} }, /no access token/],
    ['a 200 that asks for patience', { body: { ok: false, error: 'ratelimited' } }, /ratelimited/],
    ['a closed connection', 'reset', /could not be reached/],
  ];

  it.each(transient)(
    '%s is tried again later, and the token that is still valid is served',
    async (_name, reply, reason) => {
      await using endpoint = await TokenEndpoint.start();
      await using files = new AccountFiles();
      const { accounts, clock, outcomes } = makeAccounts(files);
      const expiresAt = Math.floor((clock.now() + 30_000) / 1000);
      await files.write(
        'oauth/test.json',
        account(endpoint.url, { access_token: 'access-old', expires_at: expiresAt }),
      );
      endpoint.reply = () => reply;

      const value = await token(accounts, 'test');

      expect(value.accessToken).toBe('access-old');
      expect(outcomes.map(({ outcome }) => outcome)).toMatchObject([
        { kind: 'transient', reason: expect.stringMatching(reason) },
      ]);
      const [status] = await accounts.statuses();
      expect(status).toMatchObject({ state: 'stale', lastOutcome: { kind: 'transient' } });
      expect(endpoint.requests).toHaveLength(1);
    },
  );

  it('a 429 is left alone for as long as it asks, and no longer', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    await files.write('oauth/test.json', account(endpoint.url));
    const { accounts, clock } = makeAccounts(files);
    endpoint.reply = (_form, count) =>
      count === 1 ? { status: 429, body: { error: 'slow' }, headers: { 'retry-after': '120' } } : granted();

    await expect(token(accounts, 'test')).rejects.toMatchObject({
      code: 'PROVIDER_UNAVAILABLE',
      retryAfterMs: 120_000,
    });
    await expect(token(accounts, 'test')).rejects.toMatchObject({ code: 'PROVIDER_UNAVAILABLE' });
    await accounts.tick();
    expect(endpoint.requests).toHaveLength(1);
    clock.suspend(120_000);
    await expect(token(accounts, 'test')).resolves.toMatchObject({ accessToken: 'access-new' });
  });

  it('recovers within one tick of being online after a day without a network', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    await files.write('oauth/test.json', account(endpoint.url));
    const { accounts, clock } = makeAccounts(files);
    endpoint.reply = () => 'reset';
    for (let minute = 0; minute < 24 * 60; minute += 30) {
      clock.suspend(30 * MINUTE);
      await accounts.tick();
    }

    endpoint.reply = () => granted();
    clock.suspend(MINUTE);
    await accounts.tick();

    const [status] = await accounts.statuses();
    expect(status?.state).toBe('fresh');
    accounts.stop();
  });

  it('a caller waits for a silent endpoint no longer than 30 seconds', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    await files.write('oauth/test.json', account(endpoint.url));
    const { accounts, clock } = makeAccounts(files);
    const arrived = Promise.withResolvers<void>();
    endpoint.reply = () => {
      arrived.resolve();
      return 'stall';
    };

    const asked = token(accounts, 'test');
    await arrived.promise;
    expect(Math.max(...clock.waits)).toBeLessThanOrEqual(30_000);
    clock.advance(30_000);

    await expect(asked).rejects.toMatchObject({ code: 'PROVIDER_UNAVAILABLE' });
  });
});

describe('a refresh token that is refused', () => {
  it('is tried a second time after the file was read again, and then needs its user, with the reason in words', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    await files.write('oauth/test.json', account(endpoint.url));
    const { accounts } = makeAccounts(files);
    endpoint.reply = () => ({ status: 400, body: { error: 'invalid_grant', error_description: 'gone: refresh-one' } });

    await expect(token(accounts, 'test')).rejects.toMatchObject({
      code: 'REAUTH_REQUIRED',
      message: expect.stringContaining('invalid_grant'),
      hint: expect.stringContaining('aipassd reauth test'),
    });
    expect(endpoint.requests).toHaveLength(2);
    // An error of a provider can repeat what it was sent.
    await expect(token(accounts, 'test')).rejects.not.toMatchObject({
      message: expect.stringContaining('refresh-one'),
    });
    await accounts.tick();
    expect(endpoint.requests).toHaveLength(2);
  });

  it('gives way to the token that another program writes in the next moments', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    await files.write('oauth/test.json', account(endpoint.url));
    const { accounts, clock } = makeAccounts(files);
    endpoint.reply = async (form) => {
      if (form.get('refresh_token') !== 'refresh-one') return granted();
      const expiresAt = Math.floor((clock.now() + HOUR) / 1000);
      const fields = { refresh_token: 'refresh-two', access_token: 'access-theirs', expires_at: expiresAt };
      await files.write('oauth/test.json', account(endpoint.url, fields));
      return { status: 400, body: { error: 'invalid_grant' } };
    };

    await expect(token(accounts, 'test')).resolves.toMatchObject({ accessToken: 'access-theirs' });
    expect(endpoint.requests).toHaveLength(1);
    expect(await files.read('oauth/test.json')).toMatchObject({ refresh_token: 'refresh-two' });
  });

  it('is forgotten as soon as the file holds another one', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    await files.write('oauth/test.json', account(endpoint.url));
    const { accounts } = makeAccounts(files);
    endpoint.reply = (form) =>
      form.get('refresh_token') === 'refresh-one' ? { status: 400, body: { error: 'invalid_grant' } } : granted();
    await expect(token(accounts, 'test')).rejects.toMatchObject({ code: 'REAUTH_REQUIRED' });

    await files.write('oauth/test.json', account(endpoint.url, { refresh_token: 'refresh-new' }));

    await expect(token(accounts, 'test')).resolves.toMatchObject({ accessToken: 'access-new' });
    const [status] = await accounts.statuses();
    expect(status).toMatchObject({ state: 'fresh', action: null });
  });
});

it('a refusal is forgotten when a consent brings the same refresh token with a new access token', async () => {
  await using endpoint = await TokenEndpoint.start();
  await using files = new AccountFiles();
  await files.write('oauth/test.json', account(endpoint.url));
  const { accounts, clock } = makeAccounts(files);
  endpoint.reply = () => ({ status: 400, body: { error: 'invalid_grant' } });
  await expect(token(accounts, 'test')).rejects.toMatchObject({ code: 'REAUTH_REQUIRED' });

  const expiresAt = Math.floor((clock.now() + HOUR) / 1000);
  await files.write(
    'oauth/test.json',
    account(endpoint.url, { access_token: 'access-consented', expires_at: expiresAt }),
  );

  await expect(token(accounts, 'test')).resolves.toMatchObject({ accessToken: 'access-consented' });
  expect(await accounts.statuses()).toMatchObject([{ state: 'fresh' }]);
});

describe('a file that changes during a refresh', () => {
  it('wins over what the provider granted', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    await files.write('oauth/test.json', account(endpoint.url));
    const { accounts, clock } = makeAccounts(files);
    endpoint.reply = async () => {
      const expiresAt = Math.floor((clock.now() + HOUR) / 1000);
      const fields = { refresh_token: 'refresh-theirs', access_token: 'access-theirs', expires_at: expiresAt };
      await files.write('oauth/test.json', account(endpoint.url, fields));
      return granted({ refresh_token: 'refresh-ours' });
    };

    await expect(token(accounts, 'test')).resolves.toMatchObject({ accessToken: 'access-theirs' });
    expect(await files.read('oauth/test.json')).toMatchObject({ refresh_token: 'refresh-theirs' });
  });

  it('keeps a field that was added meanwhile when the grant is the same', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    await files.write('oauth/test.json', account(endpoint.url));
    const { accounts } = makeAccounts(files);
    endpoint.reply = async () => {
      await files.write('oauth/test.json', account(endpoint.url, { note: 'mine' }));
      return granted({ refresh_token: 'refresh-two' });
    };

    await token(accounts, 'test');

    expect(await files.read('oauth/test.json')).toMatchObject({ note: 'mine', refresh_token: 'refresh-two' });
  });
});

describe('odd answers that hold a token', () => {
  it('a shorter scope is told, and a scope that is gone is not lent', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    await files.write('oauth/test.json', account(endpoint.url));
    const { accounts, outcomes } = makeAccounts(files);
    endpoint.reply = () => granted({ scope: 'read' });

    await expect(token(accounts, 'test')).resolves.toMatchObject({ scopes: ['read'] });
    expect(outcomes[0]?.outcome).toMatchObject({ kind: 'refreshed', lostScopes: ['write'] });
    await expect(token(accounts, 'test', 0, ['write'])).rejects.toMatchObject({
      code: 'REAUTH_REQUIRED',
      hint: expect.stringContaining('--scopes read,write'),
    });
  });

  it('without any lifetime it is renewed as often as a usual token, and not again and again', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    await files.write('oauth/test.json', account(endpoint.url));
    const { accounts, clock } = makeAccounts(files);
    endpoint.reply = () => granted({ expires_in: undefined });

    await expect(token(accounts, 'test')).resolves.toMatchObject({ expiresAt: null });
    await token(accounts, 'test');
    await accounts.tick();
    expect(endpoint.requests).toHaveLength(1);
    clock.suspend(HOUR);
    await accounts.tick();
    await accounts.tick();
    expect(endpoint.requests).toHaveLength(2);
  });

  it('an expiry in the past saves the rotated refresh token and backs off', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    await files.write('oauth/test.json', account(endpoint.url));
    const { accounts } = makeAccounts(files);
    endpoint.reply = () => granted({ expires_in: -5, refresh_token: 'refresh-two' });

    await expect(token(accounts, 'test')).rejects.toMatchObject({ code: 'PROVIDER_UNAVAILABLE' });
    await expect(token(accounts, 'test')).rejects.toMatchObject({ code: 'PROVIDER_UNAVAILABLE' });
    expect(endpoint.requests).toHaveLength(1);
    expect(await files.read('oauth/test.json')).toMatchObject({ refresh_token: 'refresh-two' });
    accounts.stop();
  });
});

describe('a clock that jumps', () => {
  it('back by an hour does not have an expired token served', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    await files.write('oauth/test.json', account(endpoint.url));
    const { accounts, clock } = makeAccounts(files);
    endpoint.reply = (_form, count) => granted({ access_token: `access-${count}` });
    await token(accounts, 'test');

    clock.advance(30 * MINUTE);
    clock.jump(-HOUR);
    clock.advance(31 * MINUTE);

    await expect(token(accounts, 'test')).resolves.toMatchObject({ accessToken: 'access-2' });
  });

  it('ahead by an hour costs one refresh and nothing else', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    await files.write('oauth/test.json', account(endpoint.url));
    const { accounts, clock } = makeAccounts(files);
    endpoint.reply = (_form, count) => granted({ access_token: `access-${count}` });
    await token(accounts, 'test');

    clock.jump(HOUR);

    await expect(token(accounts, 'test')).resolves.toMatchObject({ accessToken: 'access-2' });
    await expect(token(accounts, 'test')).resolves.toMatchObject({ accessToken: 'access-2' });
    expect(endpoint.requests).toHaveLength(2);
  });
});

describe('a file that cannot be used', () => {
  const bad: readonly [string, unknown, RegExp][] = [
    ['cut off', '{"access_token": "abc', /not valid JSON/],
    ['a list', [1], /not a JSON object/],
    ['a wrong type', { client_id: 5 }, /"client_id" must be a string/],
    [
      'an endpoint without encryption',
      { client_id: 'a', token_endpoint: 'http://example.org/token' },
      /must be an https address/,
    ],
  ];

  it.each(bad)(
    '%s is told by its problem, and is well again as soon as it is fixed',
    async (_name, content, problem) => {
      await using endpoint = await TokenEndpoint.start();
      await using files = new AccountFiles();
      await files.write('oauth/test.json', content);
      const { accounts } = makeAccounts(files);
      endpoint.reply = () => granted();

      await expect(token(accounts, 'test')).rejects.toMatchObject({
        code: 'NOT_FOUND',
        message: expect.stringMatching(problem),
      });
      expect(await accounts.statuses()).toMatchObject([{ state: 'unusable' }]);
      await files.write('oauth/test.json', account(endpoint.url));
      await expect(token(accounts, 'test')).resolves.toMatchObject({ accessToken: 'access-new' });
    },
  );

  it('leaves the last good token in use', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    await files.write('oauth/test.json', account(endpoint.url));
    const { accounts } = makeAccounts(files);
    endpoint.reply = () => granted();
    await token(accounts, 'test');

    await files.write('oauth/test.json', '{"refresh_tok');

    await expect(token(accounts, 'test')).resolves.toMatchObject({ accessToken: 'access-new' });
  });

  it('others could write it: it is refused, and the command that fixes it is reported', async () => {
    await using files = new AccountFiles();
    await files.write('oauth/test.json', account('https://example.org/token'));
    await chmod(files.path('oauth/test.json'), 0o666);
    const { accounts } = makeAccounts(files);

    await expect(token(accounts, 'test')).rejects.toMatchObject({
      code: 'UNSAFE_PERMISSIONS',
      hint: expect.stringContaining('chmod 600'),
    });
  });

  it('without a refresh token it is served until it expires, and then needs its user', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    const { accounts, clock } = makeAccounts(files);
    const expiresAt = Math.floor((clock.now() + 10 * MINUTE) / 1000);
    const fields = { refresh_token: undefined, access_token: 'access-old', expires_at: expiresAt };
    await files.write('oauth/test.json', account(endpoint.url, fields));

    await expect(token(accounts, 'test')).resolves.toMatchObject({ accessToken: 'access-old' });
    clock.suspend(11 * MINUTE);
    await accounts.tick();
    await expect(token(accounts, 'test')).rejects.toMatchObject({
      code: 'REAUTH_REQUIRED',
      message: expect.stringContaining('no refresh token'),
    });
    expect(endpoint.requests).toHaveLength(0);
  });
});
