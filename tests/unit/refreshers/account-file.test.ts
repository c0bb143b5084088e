import { describe, expect, it } from 'vitest';
import { parseJson, toRecord, type JsonObject } from '../../../src/base/json.ts';
import { Secret } from '../../../src/base/secret.ts';
import { formatWithTokens, parseAccountFile, withoutTokens } from '../../../src/refreshers/account-file.ts';
import { originalOfCopy } from '../../../src/refreshers/account-name.ts';
import { checkAccountFile } from '../../../src/refreshers/account-schema.ts';

const NOW = Date.parse('2026-03-01T12:00:00Z');
const HOUR = 3_600_000;
const CLIENT = { client_id: 'c', client_secret: 'x' };

function jwt(claims: object): string {
  return ['{"alg":"none"}', JSON.stringify(claims), 'x']
    .map((part) => Buffer.from(part).toString('base64url'))
    .join('.');
}

function written(raw: object, google: boolean, fields: object = {}): JsonObject {
  const account = parseAccountFile({ ...raw }, google, NOW);
  const tokens = { accessToken: new Secret('new'), expiresIn: 3600, ...fields };
  return toRecord(parseJson(formatWithTokens(account, tokens, NOW)));
}

describe('the end of a token', () => {
  it.each([
    ['expiry of Go', { expiry: '2026-03-01T13:00:00.123456789+00:00' }, NOW + HOUR + 123],
    ['expiry with a zone', { expiry: '2026-03-01T15:00:00+02:00' }, NOW + HOUR],
    ['expiry of Python, without zone', { expiry: '2026-03-01T13:00:00.5' }, NOW + HOUR + 500],
    ['the zero time of Go', { expiry: '0001-01-01T00:00:00Z' }, null],
    ['token_expiry of oauth2client', { token_expiry: '2026-03-01T13:00:00Z' }, NOW + HOUR],
    ['expires_at in seconds', { expires_at: (NOW + HOUR) / 1000 }, NOW + HOUR],
    ['expires_at with a fraction', { expires_at: (NOW + HOUR) / 1000 + 0.25 }, NOW + HOUR + 250],
    ['expires_at in milliseconds', { expires_at: NOW + HOUR }, NOW + HOUR],
    ['expires_at in digits', { expires_at: String((NOW + HOUR) / 1000) }, NOW + HOUR],
    ['expires_at in ISO 8601', { expires_at: '2026-03-01T13:00:00Z' }, NOW + HOUR],
    ['expires_at in microseconds', { expires_at: (NOW + HOUR) * 1000 }, NOW + HOUR],
    ['expires_at in nanoseconds', { expires_at: (NOW + HOUR) * 1e6 }, NOW + HOUR],
    ['expires_at in digits of nanoseconds', { expires_at: `${NOW + HOUR}000000` }, NOW + HOUR],
    ['expires_at of .NET', { expires_at: `/Date(${NOW + HOUR}+0100)/` }, NOW + HOUR],
    ['expires_at of HTTP', { expires_at: 'Sun, 01 Mar 2026 13:00:00 GMT' }, NOW + HOUR],
    ['expires_at of JavaScript', { expires_at: 'Sun Mar 01 2026 14:00:00 GMT+0100 (CET)' }, NOW + HOUR],
    ['expiry with a comma and small letters', { expiry: '2026-03-01t13:00:00,5z' }, NOW + HOUR + 500],
    ['expiry as a date', { expiry: '2026-03-02' }, NOW + 12 * HOUR],
    ['expiry as Go prints it', { expiry: '2026-03-01 14:00:00.5 +0100 CET m=+0.02' }, NOW + HOUR + 500],
    ['expiry with the name of UTC', { expiry: '2026-03-01 13:00:00 UTC' }, NOW + HOUR],
    ['expiry of Java', { expiry: '2026-03-01T13:00Z[Etc/UTC]' }, NOW + HOUR],
    ['expiry of PostgreSQL', { expiry: '2026-03-01 13:00:00+00' }, NOW + HOUR],
    ['expiry in the basic format', { expiry: '20260301T130000Z' }, NOW + HOUR],
    ['expiry of C', { expiry: 'Sun Mar  1 13:00:00 2026' }, NOW + HOUR],
    ['expiry of an e-mail', { expiry: '1 Mar 2026 15:00:00 +0200' }, NOW + HOUR],
    ['expires_at with an exponent', { expires_at: '1.7723700E9' }, NOW + HOUR],
    ['expires_at of never, in seconds', { expires_at: 253_402_300_799 }, Date.parse('9999-12-31T23:59:59Z')],
    ['expires_at of never, in milliseconds', { expires_at: 253_402_300_799_000 }, Date.parse('9999-12-31T23:59:59Z')],
    ['.expires of ASP.NET', { '.expires': 'Sun, 01 Mar 2026 13:00:00 GMT' }, NOW + HOUR],
    ['expiration_time of wrangler', { expiration_time: '2026-03-01T13:00:00.000Z' }, NOW + HOUR],
    ['the zero time of Unix', { expires_at: '1970-01-01T00:00:00Z' }, null],
    ['expiry_date in seconds', { expiry_date: (NOW + HOUR) / 1000 }, NOW + HOUR],
    ['expiry_date in digits', { expiry_date: String(NOW + HOUR) }, NOW + HOUR],
    ['expires_in beside obtained_at', { expires_in: 3600, obtained_at: NOW / 1000 - 600 }, NOW + HOUR - 600_000],
    ["expires_in and the file's time", { expires_in: '3600' }, NOW + HOUR],
    ['the claim of a JSON Web Token', { access_token: jwt({ exp: (NOW + HOUR) / 1000 }) }, NOW + HOUR],
    ['nothing', {}, null],
    ['a word', { expires_at: 'soon' }, null],
  ])('is read from %s', (_, fields, expected) => {
    for (const google of [true, false]) {
      const file = parseAccountFile({ access_token: 'old', refresh_token: 'r', ...fields }, google, NOW);
      expect(file.expiresAt).toBe(expected);
    }
  });

  it('is a guess where only the time of the file dates it', () => {
    expect(parseAccountFile({ access_token: 'old', expires_in: 60 }, false, NOW).isGuessed).toBe(true);
    expect(parseAccountFile({ access_token: 'old', expires_in: 60, obtained_at: 1 }, false, NOW).isGuessed).toBe(false);
  });
});

describe('new tokens', () => {
  it.each([
    [{ expiry: '2020-01-01T00:00:00Z' }, { expiry: '2026-03-01T13:00:00Z' }],
    [{ token_expiry: '2020-01-01T00:00:00Z' }, { token_expiry: '2026-03-01T13:00:00Z' }],
    [{ expiry_date: 1_577_836_800_000 }, { expiry_date: NOW + HOUR }],
    [{ expiry_date: '1577836800000' }, { expiry_date: String(NOW + HOUR) }],
    [{ expires_at: 1_577_836_800.25 }, { expires_at: (NOW + HOUR) / 1000 }],
    [{ expires_at: '1577836800' }, { expires_at: String((NOW + HOUR) / 1000) }],
    [{ expires_at: 1_577_836_800_000 }, { expires_at: NOW + HOUR }],
    [{ expires_at: 1_577_836_800_000_000 }, { expires_at: (NOW + HOUR) * 1000 }],
    [{ expires_at: '2020-01-01T00:00:00Z' }, { expires_at: '2026-03-01T13:00:00Z' }],
    [
      { expires_in: 60, expiry: '2020-01-01T00:00:00Z' },
      { expires_in: 3600, expiry: '2026-03-01T13:00:00Z' },
    ],
  ])('keep the form of %j', (before, after) => {
    expect(written({ access_token: 'old', refresh_token: 'r', ...before }, false)).toMatchObject({
      access_token: 'new',
      refresh_token: 'r',
      ...after,
    });
  });

  it('go into the fields and the object that the file has for them', () => {
    expect(
      written({ accessToken: 'old', refreshToken: 'r', expiresAt: 5 }, false, { refreshToken: new Secret('r2') }),
    ).toMatchObject({ accessToken: 'new', refreshToken: 'r2', expiresAt: NOW + HOUR });
    const nested = { claudeAiOauth: { accessToken: 'old', refreshToken: 'r', expiresAt: NOW - 1, plan: 'max' }, x: 1 };
    expect(written(nested, false)).toMatchObject({
      claudeAiOauth: { accessToken: 'new', refreshToken: 'r', expiresAt: NOW + HOUR, plan: 'max' },
      x: 1,
    });
    expect(JSON.stringify(withoutTokens(parseAccountFile(nested, false)).raw)).not.toMatch(/old|"r"/);
  });

  it('without a lifetime have that of the token before', () => {
    const before = { access_token: 'old', refresh_token: 'r', expires_at: 9000, obtained_at: 1800 };
    expect(written(before, false, { expiresIn: undefined })).toMatchObject({ expires_at: (NOW + 2 * HOUR) / 1000 });
    expect(written({ ...before, obtained_at: undefined }, false, { expiresIn: undefined })).not.toHaveProperty(
      'expires_at',
    );
  });

  it('let every library of Google load what we made, by its type', () => {
    expect(written({ ...CLIENT, token: 'old', refresh_token: 'r' }, true)).toMatchObject({ type: 'authorized_user' });
    expect(written({ access_token: 'old', refresh_token: 'r' }, true)).not.toHaveProperty('type');
    expect(written({ access_token: 'old', refresh_token: 'r' }, false)).not.toHaveProperty('type');
  });

  it('with fewer scopes keep those that were asked for beside them, once and for all', () => {
    const before = { access_token: 'old', refresh_token: 'r', scopes: ['offline_access', 'User.Read', 'Mail.Read'] };
    const first = written(before, false, { scopes: ['User.Read'] });
    expect(first).toMatchObject({ scopes: ['User.Read'], requested_scopes: before.scopes });
    expect(parseAccountFile(first, false).requestedScopes).toEqual(before.scopes);
    expect(written(first, false, { scopes: ['User.Read', 'Mail.Read'] })).toMatchObject({
      requested_scopes: before.scopes,
    });
  });

  it('date the end of the refresh token: as answered, as before, or as it claims itself', () => {
    const before = { access_token: 'old', refresh_token: 'r', refresh_token_expires_at: 1_900_000_000 };
    const endOf = (fields: object): unknown => written(before, false, fields)['refresh_token_expires_at'];
    expect(endOf({ refreshExpiresIn: 60 })).toBe(NOW / 1000 + 60);
    expect(endOf({ refreshExpiresIn: null })).toBeUndefined();
    expect(endOf({})).toBe(1_900_000_000);
    expect(endOf({ refreshToken: new Secret('opaque') })).toBeUndefined();
    expect(endOf({ refreshToken: new Secret(jwt({ exp: 1_800_000_000 })) })).toBe(1_800_000_000);
  });
});

it.each([
  ['AWS', { accessToken: 'a', refreshToken: 'r', clientId: 'c', clientSecret: 's' }],
  ['gh', { 'github.com': { user: 'x', oauth_token: 'a', refresh_token: 'r' }, client_id: 'c', client_secret: 's' }],
])('a file of %s is read with its own names', (_, raw) => {
  const file = parseAccountFile({ ...raw }, false, NOW);
  const { accessToken, refreshToken, client } = file;
  expect([accessToken, refreshToken, client?.clientSecret].map((one) => one?.reveal())).toEqual(['a', 'r', 's']);
  expect(client?.clientId).toBe('c');
});

describe('a wrong field', () => {
  it.each([
    [{ expires_at: 'soon' }, '"expires_at"'],
    [{ token_endpoint: 'http://example.org' }, '"token_endpoint"'],
    [{ scopes: [1] }, '"scopes'],
    [{ token_params: { a: 1 } }, '"token_params'],
    [{ token_endpoint_auth_method: 'magic' }, '"token_endpoint_auth_method"'],
    [{ refresh_token: 5 }, '"refresh_token"'],
    [{ accessToken: 5 }, '"accessToken"'],
    [{ token: 5 }, '"token"'],
  ])('is reported by its name: %j', (raw, name) => {
    expect(checkAccountFile(raw, false)).toContain(name);
  });

  it('is not reported where there is none', () => {
    expect(
      checkAccountFile({ expires_at: '0001-01-01T00:00:00Z', resource: ['https://a/', 'https://b/'] }, false),
    ).toBeNull();
    expect(checkAccountFile({ expiry: '', token_uri: null, extra: {} }, true)).toBeNull();
    expect(checkAccountFile({ token: { access_token: 'a' } }, false)).toBeNull();
    expect(checkAccountFile({ expires_at: '1970-01-01T00:00:00Z', expiry: '0001-01-01 00:00:00' }, false)).toBeNull();
  });
});

it.each([
  ['spotify.sync-conflict-20261101-101112-ABCDEF7.json', 'spotify.json'],
  ['spotify (conflicted copy 2026-11-01).json', 'spotify.json'],
  ["spotify (Ann's conflicted copy 2026-11-01).json", 'spotify.json'],
  ['spotify (1).json', 'spotify.json'],
  ['spotify copy.json', 'spotify.json'],
  ['spotify - Copy (2).json', 'spotify.json'],
  ['spotify - copy.json', 'spotify.json'],
  ['spotify_conflict-20261101.json', 'spotify.json'],
  ['spotify.bak.json', 'spotify.json'],
  ['spotify.old.json', 'spotify.json'],
  ['spotify.json.bak', 'spotify.json'],
  ['spotify.json.old', 'spotify.json'],
  ['spotify.json~', 'spotify.json'],
  ['spotify.json.orig', 'spotify.json'],
  ['#spotify.json#', 'spotify.json'],
  ['.spotify.json.swp', 'spotify.json'],
  ['google_creds.work.json.bak', 'google_creds.work.json'],
  ['Copy of spotify.json', 'spotify.json'],
  ['spotify - Kopie.json', 'spotify.json'],
  ['spotify 2.json', 'spotify.json'],
  ['spotify-DESKTOP-AB12CD3.json', 'spotify.json'],
  ['spotify.2026-11-01.json', 'spotify.json'],
  ['spotify-20261101_1230.json', 'spotify.json'],
  ['google_creds.work.2026-11-01.json', 'google_creds.work.json'],
  ['spotify.json', undefined],
  ['.spotify.json.lock', undefined],
  ['.spotify.json.lock.b99c26c9-5d4c-4a2e-8c1d-0123456789ab', undefined],
  ['spotify.2026.json', undefined],
  ['spotify.work.json', undefined],
  ['google.oldfriend@example.org.json', undefined],
])('%s is named like a copy of %s', (name, original) => {
  expect(originalOfCopy(name)).toBe(original);
});
