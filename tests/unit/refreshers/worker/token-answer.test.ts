import { describe, expect, it } from 'vitest';
import { normalizeTokenAnswer, spokenError } from '../../../../src/refreshers/worker/token-answer.ts';

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
    [{ error: '' }, undefined],
    [{ access_token: 'a' }, undefined],
  ])('%j is read', (document, spoken) => {
    expect(spokenError(document)).toEqual(spoken);
  });
});
