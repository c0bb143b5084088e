import { describe, expect, it } from 'vitest';
import { Redactor } from '../../../../src/base/redactor.ts';
import {
  judgeAnswer,
  judgeDeviceAnswer,
  judgeFailure,
  judgeRevocation,
  spokenError,
  type ExchangeAnswer,
} from '../../../../src/refreshers/worker/token-answer.ts';

const JUDGING = { account: 'test', isConsentable: true, redactor: new Redactor() };

/** Returns the facts of an exchange whose answer had a document. */
function answered(document: object | null, status = 200, at = 0): ExchangeAnswer {
  return {
    kind: 'answer',
    status,
    address: 'https://x',
    document: document === null ? null : { ...document },
    retryAfterMs: undefined,
    at,
  };
}

const judge = (status: number, document: object) => judgeFailure(answered(document, status), JUDGING);

/** Returns the tokens of an answer with their values, or undefined where it grants none. */
function tokensIn(document: object, nestedAnswer?: string, at = 0): Record<string, unknown> | undefined {
  const answer = judgeAnswer(answered(document, 200, at), { ...JUDGING, nestedAnswer });
  if (answer.kind !== 'granted') return undefined;
  const { accessToken, refreshToken, ...others } = answer.tokens;
  return {
    accessToken: accessToken.reveal(),
    ...(refreshToken === undefined ? {} : { refreshToken: refreshToken.reveal() }),
    ...others,
  };
}

describe('a token answer', () => {
  it('of Slack has its user tokens nested, its scopes separated by commas, and a type of its own', () => {
    const answer = {
      ok: true,
      authed_user: {
        access_token: 'xoxe.1',
        refresh_token: 'xoxe-1',
        expires_in: 43_200,
        scope: 'chat:write,users:read',
        token_type: 'user',
      },
    };

    expect(tokensIn(answer, 'authed_user')).toEqual({
      accessToken: 'xoxe.1',
      refreshToken: 'xoxe-1',
      expiresIn: 43_200,
      scopes: ['chat:write', 'users:read'],
    });
    expect(tokensIn(answer)).toEqual(tokensIn(answer, 'authed_user'));
  });

  it.each([[(answer: object) => answer], [(answer: object) => ({ data: answer })]])(
    'may have the names of JavaScript',
    (wrap) => {
      const answer = wrap({ accessToken: 'a', refreshToken: 'r', expiresIn: 7200, tokenType: 'Bearer' });
      expect(tokensIn(answer)).toEqual({ accessToken: 'a', refreshToken: 'r', expiresIn: 7200 });
    },
  );

  it('has the names of RFC 6749 first', () => {
    const answer = { access_token: 'a', accessToken: 'b', expires_in: 60, expiresIn: 7200 };
    expect(tokensIn(answer)).toMatchObject({ accessToken: 'a', expiresIn: 60 });
  });

  it.each([
    ['3600', 3600],
    [3600.9, 3600],
    [-1, 0],
    [1e12, 315_360_000],
    ['soon', undefined],
    [null, undefined],
    [true, undefined],
  ])('with expires_in %j is read as %s', (value, seconds) => {
    expect(tokensIn({ access_token: 'a', expires_in: value })?.['expiresIn']).toBe(seconds);
  });

  it.each([
    ['of AWS Cognito', { AccessToken: 'a', ExpiresIn: 60, RefreshToken: 'r', TokenType: 'Bearer' }],
    ['deep inside', { result: { tokens: { access_token: 'a', expires_in: 60, refresh_token: 'r' } } }],
    ['with a line break behind the token', { access_token: 'a\r\n', expires_in: 60, refresh_token: 'r' }],
  ])('%s is read', (_, answer) => {
    expect(tokensIn(answer)).toEqual({ accessToken: 'a', expiresIn: 60, refreshToken: 'r' });
  });

  it('with an end in place of the lifetime lives until then', () => {
    const now = Date.parse('2026-03-01T12:00:00Z');
    const lifetime = (value: unknown): unknown =>
      tokensIn({ access_token: 'a', expires_in: value }, undefined, now)?.['expiresIn'];
    expect(lifetime(now / 1000 + 3600)).toBe(3600);
    expect(lifetime(String(now + 3_600_000))).toBe(3600);
    expect(lifetime(now / 1000 - 3600)).toBe(315_360_000);
  });

  it.each([[undefined], [''], [5], ['line\nbreak'], ['ümlaut'], [{}]])('with the token %j holds none', (value) => {
    expect(tokensIn({ access_token: value })).toBeUndefined();
  });
});

describe('the answer of a device endpoint', () => {
  const usual = { device_code: 'd', user_code: 'u', verification_uri: 'https://x', expires_in: 900 };

  it.each([
    ['as RFC 8628 has it', { ...usual, interval: 7 }, 7],
    ['of Google', { device_code: 'd', user_code: 'u', verification_url: 'https://x', expires_in: 900 }, 5],
    ['with numbers as texts', { ...usual, expires_in: '900', interval: '7' }, 7],
    ['without a lifetime', { device_code: 'd', user_code: 'u', verification_uri: 'https://x' }, 5],
    ['with an interval of nothing', { ...usual, interval: 0 }, 5],
  ])('is read %s', (_, document, intervalS) => {
    const read = { userCode: 'u', verificationUri: 'https://x', expiresInS: 900, intervalS };
    expect(judgeDeviceAnswer(answered(document), JUDGING)).toMatchObject({ kind: 'started', ...read });
  });

  it('is a failure where it has no code', () => {
    expect(judgeDeviceAnswer(answered({ issuer: 'https://x' }), JUDGING).kind).toBe('transient');
    expect(judgeDeviceAnswer(answered({ error: 'invalid_scope' }), JUDGING).kind).toBe('rejected');
    expect(judgeDeviceAnswer(answered(usual, 500), JUDGING).kind).toBe('transient');
  });
});

it.each([
  [200, null, undefined],
  [200, {}, undefined],
  [200, { ok: false, error: 'invalid_auth' }, 'rejected'],
  [400, { error: 'unsupported_token_type' }, 'rejected'],
  [503, null, 'transient'],
])('a revocation that is answered with %i %j is %s', (status, document, kind) => {
  expect(judgeRevocation(answered(document, status), JUDGING)?.kind).toBe(kind);
});

describe('an error inside an answer', () => {
  it.each([
    [
      { error: 'invalid_grant', error_description: 'x' },
      { code: 'invalid_grant', description: 'x', transient: false },
    ],
    [
      { ok: false, error: 'ratelimited' },
      { code: 'ratelimited', description: undefined, transient: true },
    ],
    [{ error: { code: 'PERMISSION_DENIED' } }, { code: 'PERMISSION_DENIED', description: undefined, transient: false }],
    [
      { error: { code: 503, status: 'UNAVAILABLE' } },
      { code: 'unknown_error', description: undefined, transient: true },
    ],
    [
      { error: 'a token 1//secret in it' },
      { code: 'unknown_error', description: 'a token 1//secret in it', transient: false },
    ],
    [
      { error: { message: '(#4) Application request limit reached', type: 'OAuthException', code: 4 } },
      { code: 'unknown_error', description: '(#4) Application request limit reached', transient: true },
    ],
    [
      { errors: [{ errorType: 'invalid_grant', message: 'Refresh token invalid' }], success: false },
      { code: 'invalid_grant', description: 'Refresh token invalid', transient: false },
    ],
    [{ errors: [{ errorType: 'system', message: 'x' }] }, undefined],
    [{ error: '' }, undefined],
    [{ access_token: 'a' }, undefined],
  ])('%j is read', (document, spoken) => {
    expect(spokenError(document)).toEqual(spoken);
  });
});

describe('an answer to a refresh', () => {
  it.each([
    ['Okta', 400, { errorCode: 'E0000047', errorSummary: 'API call exceeded rate limit due to too many requests.' }],
    ['Auth0', 403, { error: 'access_denied', error_description: 'Global limit has been reached' }],
    ['HubSpot', 400, { errorType: 'RATE_LIMIT', message: 'You have reached your ten_secondly_rolling limit.' }],
    ['Dropbox', 400, { error_summary: 'too_many_requests/..', error: { reason: { '.tag': 'too_many_requests' } } }],
    ['Spotify', 400, { error: { status: 503, message: 'Service unavailable' } }],
    ['Google', 400, { error: { code: 429, message: 'Resource has been exhausted', status: 'RESOURCE_EXHAUSTED' } }],
    ['AWS', 400, { __type: 'InternalErrorException', message: 'x' }],
    ['Salesforce', 400, { error: 'unknown_error', error_description: 'retry your request' }],
    ['Fitbit', 409, { errors: [{ errorType: 'request', message: 'Request to refresh token is processing' }] }],
  ])('of %s that asks for patience (%i %j) is transient', (_, status, document) => {
    expect(judge(status, document).kind).toBe('transient');
  });

  it.each([
    ['Atlassian', 403, { error: 'unauthorized_client', error_description: 'refresh_token is invalid' }],
    ['LinkedIn', 400, { error: 'invalid_request', error_description: 'The provided refresh token is invalid.' }],
    ['Slack', 200, { ok: false, error: 'invalid_refresh_token' }],
    ['GitHub', 200, { error: 'bad_refresh_token', error_description: 'The refresh token passed is incorrect.' }],
    ['WeChat', 200, { errcode: 40_030, errmsg: 'invalid refresh_token' }],
    ['Feishu', 200, { code: 20_037, msg: 'refresh_token is expired' }],
    ['TikTok', 200, { data: { error_code: 10_010, description: 'Refresh token expired' }, message: 'error' }],
    ['AWS', 400, { __type: 'NotAuthorizedException', message: 'Refresh Token has been revoked' }],
    ['Zoom', 400, { error: 'invalid_grant', reason: 'Invalid Token!' }],
  ])('of %s that refuses the refresh token (%i %j) asks for a new consent', (_, status, document) => {
    expect(judge(status, document)).toMatchObject({
      kind: 'rejected',
      reason: expect.stringContaining('the refresh token'),
      remedy: expect.stringContaining('run: aipassd reauth test'),
    });
  });

  it('of Microsoft whose client secret has ended asks for a new secret', () => {
    const error_description = 'AADSTS7000222: The provided client secret keys for app are expired.';
    expect(judge(401, { error: 'invalid_client', error_description })).toMatchObject({
      kind: 'rejected',
      remedy: expect.stringContaining('client secret'),
    });
  });
});

describe('a limit of requests', () => {
  it.each([
    ['invalid_grant', 'Rate limit exceeded: access_token not expired'],
    ['invalid_request', 'You have made too many requests, try again later'],
    ['invalid_client', 'Too many login attempts'],
    ['unauthorized_client', 'API calls quota exceeded! maximum admitted 10 per 60s'],
    ['invalid_grant', 'Request was throttled.'],
    ['invalid_grant', 'AADSTS50196: The server encountered a client request loop.'],
    ['invalid_grant', 'login rate exceeded'],
    ['invalid_request', 'token request is already being processed'],
  ])('is transient under the standard code %s (%s)', (error, error_description) => {
    expect(spokenError({ error, error_description })).toMatchObject({ code: error, transient: true });
  });

  it.each([
    ['invalid_grant', 'Token has been expired or revoked.'],
    ['invalid_grant', 'Maximum allowed refresh token reuse exceeded'],
    ['invalid_grant', 'reauth_required: refresh token limit reached for this user'],
    ['invalid_grant', 'AADSTS70043: The refresh token has expired or is invalid due to sign-in frequency checks'],
    ['invalid_client', 'The client is not allowed to request this grant at such a rate plan'],
  ])('is not what %s (%s) means', (error, error_description) => {
    expect(spokenError({ error, error_description })).toMatchObject({ code: error, transient: false });
  });
});

describe('a refusal without a code', () => {
  it.each([
    { status: 'BAD_REFRESH_TOKEN', message: 'missing or invalid refresh token' },
    { message: 'missing or invalid refresh token', errors: [{ resource: 'RefreshToken', code: 'invalid' }] },
    { errcode: 42_002, errmsg: 'missing or invalid refresh token' },
  ])('is shown in its own words: %j', (document) => {
    expect(judge(400, document)).toMatchObject({
      kind: 'rejected',
      error: 'http_400',
      description: 'missing or invalid refresh token',
    });
  });
});
