import { expect, it } from 'vitest';
import { expandScopes, missingScopes } from '../../../src/refreshers/provider-presets.ts';

const GOOGLE = 'https://www.googleapis.com/auth/';

it('short names are spelt out for Google, and for nobody else', () => {
  expect(expandScopes('google', ['drive.file', 'openid', 'email', 'https://mail.google.com/', 'drive.file'])).toEqual([
    `${GOOGLE}drive.file`,
    'openid',
    `${GOOGLE}userinfo.email`,
    'https://mail.google.com/',
  ]);
  expect(expandScopes('github', ['repo', 'repo'])).toEqual(['repo']);
});

it('a scope is missing when no name of it is held; what only asks for a refresh token never is', () => {
  expect(missingScopes('google', [`${GOOGLE}drive.file`], ['drive.file', 'calendar'])).toEqual([`${GOOGLE}calendar`]);
  expect(missingScopes('microsoft', ['User.Read'], ['User.Read', 'offline_access'])).toEqual([]);
});
