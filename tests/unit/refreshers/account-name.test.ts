import { describe, expect, it } from 'vitest';
import {
  accountFiles,
  googleFileAccount,
  oauthFileAccount,
  parseAccountName,
  formatAccountName,
} from '../../../src/refreshers/account-name.ts';

describe('the name of an account', () => {
  it.each([
    ['google', '/s/google_creds.json', '/s/google_client_secret.json'],
    ['google.me@example.org', '/s/google_creds.me@example.org.json', '/s/google_client_secret.json'],
    ['spotify', '/s/oauth/spotify.json', null],
    ['spotify.work', '/s/oauth/spotify.work.json', '/s/oauth/spotify.json'],
  ])('%s leads to its files', (text, file, clientFile) => {
    const name = parseAccountName(text);
    if (name === undefined) throw new Error('no name');

    expect(accountFiles('/s', name)).toEqual({ file, clientFile });
    expect(formatAccountName(name)).toBe(text);
  });

  it.each(['', '..', 'a/b', 'a.../b', 'a.b/c', 'a..b', 'google..', 'A', 'a b', 'a.\n'])('%j is none', (text) => {
    expect(parseAccountName(text)).toBeUndefined();
  });

  it('is read from the files of Google and of all others, each in its place', () => {
    expect(googleFileAccount('google_creds.json')).toEqual({ provider: 'google', account: 'default' });
    expect(googleFileAccount('google_creds.work.json')).toEqual({ provider: 'google', account: 'work' });
    expect(googleFileAccount('google_client_secret.json')).toBeUndefined();
    expect(oauthFileAccount('spotify.work.json')).toEqual({ provider: 'spotify', account: 'work' });
    expect(oauthFileAccount('google.json')).toBeUndefined();
    expect(oauthFileAccount('.spotify.json.lock')).toBeUndefined();
  });
});
