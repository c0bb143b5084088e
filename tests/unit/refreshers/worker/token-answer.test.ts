import { describe, expect, it } from 'vitest';
import { Redactor } from '../../../../src/base/redactor.ts';
import { judgeFailure, normalizeTokenAnswer, spokenError } from '../../../../src/refreshers/worker/token-answer.ts';

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

    expect(normalizeTokenAnswer(answer, 'authed_user', 0)).toEqual({
      access_token: 'xoxe.1',
      refresh_token: 'xoxe-1',
      token_type: 'bearer',
      expires_in: 43_200,
      scope: 'chat:write users:read',
    });
    expect(normalizeTokenAnswer(answer, undefined, 0)).toEqual(normalizeTokenAnswer(answer, 'authed_user', 0));
  });

  it.each([[(answer: object) => answer], [(answer: object) => ({ data: answer })]])(
    'may have the names of JavaScript',
    (wrap) => {
      const answer = wrap({ accessToken: 'a', refreshToken: 'r', expiresIn: 7200, tokenType: 'Bearer' });
      expect(normalizeTokenAnswer({ ...answer }, undefined, 0)).toEqual({
        access_token: 'a',
        refresh_token: 'r',
        token_type: 'bearer',
        expires_in: 7200,
      });
    },
  );

  it('has the names of RFC 6749 first', () => {
    const answer = { access_token: 'a', accessToken: 'b', expires_in: 60, expiresIn: 7200 };
    expect(normalizeTokenAnswer(answer, undefined, 0)).toMatchObject({ access_token: 'a', expires_in: 60 });
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
    expect(normalizeTokenAnswer({ access_token: 'a', expires_in: value }, undefined, 0)?.['expires_in']).toBe(seconds);
  });

  it.each([[undefined], [''], [5], ['line\nbreak'], ['ümlaut'], [{}]])('with the token %j holds none', (value) => {
    expect(normalizeTokenAnswer({ access_token: value }, undefined, 0)).toBeUndefined();
  });
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
    [{ error: { code: 'UNAVAILABLE' } }, { code: 'UNAVAILABLE', description: undefined, transient: false }],
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

describe('a limit of requests', () => {
  it.each([
    ['invalid_grant', 'Rate limit exceeded: access_token not expired'],
    ['invalid_request', 'You have made too many requests, try again later'],
    ['invalid_client', 'Too many login attempts'],
    ['unauthorized_client', 'API calls quota exceeded! maximum admitted 10 per 60s'],
    ['invalid_grant', 'Request was throttled.'],
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
  const judging = { account: 'hubspot', isConsentable: true, redactor: new Redactor() };
  const answered = { kind: 'answer', status: 400, address: 'https://x', retryAfterMs: undefined, at: 0 } as const;

  it.each([
    { status: 'BAD_REFRESH_TOKEN', message: 'missing or invalid refresh token' },
    { message: 'missing or invalid refresh token', errors: [{ resource: 'RefreshToken', code: 'invalid' }] },
    { errcode: 42_002, errmsg: 'missing or invalid refresh token' },
  ])('is shown in its own words: %j', (document) => {
    expect(judgeFailure(judging, { ...answered, document })).toMatchObject({
      kind: 'rejected',
      error: 'http_400',
      description: 'missing or invalid refresh token',
    });
  });
});
