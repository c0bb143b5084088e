import { describe, expect, it } from 'vitest';
import { nearProvider, unknownAccount, type AccountPurpose } from '../../../src/refreshers/messages.ts';

function hintOf(name: string, purpose: AccountPurpose, accounts: readonly string[] = []): string | undefined {
  return unknownAccount(name, purpose, accounts, ['acme']).hint;
}

describe('an account that there is not', () => {
  it.each([
    ['google', 'run: aipassd reauth google --scopes drive.file'],
    ['google.work', 'run: aipassd reauth google --account work --scopes drive.file'],
    ['gogle', 'run: aipassd reauth gogle (or did you mean "google"?)'],
    ['spotfy', 'run: aipassd reauth spotfy (or did you mean "spotify"?)'],
    ['acmee', 'run: aipassd reauth acmee (or did you mean "acme"?)'],
    ['spotify', 'run: aipassd reauth spotify'],
    ['nosuchthing', 'run: aipassd reauth nosuchthing'],
  ])('whose token is wanted comes to be by a consent: %s', (name, hint) => {
    expect(hintOf(name, 'token')).toBe(hint);
  });

  it('is compared with those that there are first', () => {
    expect(hintOf('tset', 'token', ['test'])).toContain('(or did you mean "test"?)');
  });

  it('can be neither revoked nor renewed, for which no consent is any use', () => {
    expect(hintOf('nosuch', 'existing')).toBe('make one first: aipassd reauth <name>');
    expect(hintOf('nosuchthing', 'existing', ['google'])).toBe('see: aipassd status');
    expect(hintOf('gogle', 'existing', ['google'])).toBe('did you mean "google"?');
  });
});

describe('the provider that may be meant', () => {
  it('is none where the name is a known one, or is like none', () => {
    expect(nearProvider('gogle')).toBe('google');
    expect(nearProvider('google.work')).toBeUndefined();
    expect(nearProvider('notion')).toBeUndefined();
    expect(nearProvider('somethingelse')).toBeUndefined();
  });
});
