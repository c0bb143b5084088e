import { describe, expect, it } from 'vitest';
import {
  accountFiles,
  googleFileAccount,
  oauthFileAccount,
  parseAccountName,
} from '../../../src/refreshers/account-name.ts';

describe('the name of an account', () => {
  it.each([
    ['google', '/s/google_creds.json', '/s/google_client_secret.json'],
    ['google.me@example.org', '/s/google_creds.me@example.org.json', '/s/google_client_secret.json'],
    ['spotify', '/s/oauth/spotify.json', null],
    ['spotify.work', '/s/oauth/spotify.work.json', '/s/oauth/spotify.json'],
  ])('%s leads to its files', (text, file, clientFile) => {
    expect(parseAccountName(text)).toBe(text);
    expect(accountFiles('/s', text)).toEqual({ file, clientFile });
  });

  it.each(['', '..', 'a/b', 'a.../b', 'a.b/c', 'a..b', 'google..', 'A', 'a b', 'a.\n'])('%j is none', (text) => {
    expect(parseAccountName(text)).toBeUndefined();
  });

  it('is that of the provider alone for the default account', () => {
    expect(parseAccountName('google.default')).toBe('google');
  });

  it('is read from the files of Google and of all others, each in its place', () => {
    expect(googleFileAccount('google_creds.json')).toBe('google');
    expect(googleFileAccount('google_creds.work.json')).toBe('google.work');
    expect(googleFileAccount('google_client_secret.json')).toBeUndefined();
    expect(oauthFileAccount('spotify.work.json')).toBe('spotify.work');
    expect(oauthFileAccount('google.json')).toBeUndefined();
    expect(oauthFileAccount('.spotify.json.lock')).toBeUndefined();
  });
});
