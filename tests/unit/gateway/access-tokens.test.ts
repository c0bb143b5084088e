import { expect, it } from 'vitest';
import type { TokenGrant } from '../../../src/callers/access.ts';
import { AccessTokens } from '../../../src/gateway/access-tokens.ts';

const GRANT: TokenGrant = {
  name: 'flow',
  session: 's',
  uid: 1000,
  rights: new Set(['use']),
  providers: null,
  oauthAccounts: new Set(),
};

it('a token is 256 random bits, and stands for its grant until it is revoked', () => {
  const tokens = new AccessTokens();
  const [first, second] = [tokens.issue(GRANT), tokens.issue({ ...GRANT, name: 'other' })];
  if (!first || !second) throw new Error('no token was issued');
  expect(Buffer.from(first.token.replace('aip-', ''), 'base64url').length).toBe(32);
  expect(first.token).not.toBe(second.token);
  expect(tokens.find(first.token)).toBe(GRANT);
  expect(tokens.find(second.token)?.name).toBe('other');
  tokens.revoke(first.hash);
  expect(tokens.find(first.token)).toBeUndefined();
  expect(tokens.find(second.token)?.name).toBe('other');
});

it('a token is stored as a hash, and a hash is not a token', () => {
  const tokens = new AccessTokens();
  const issued = tokens.issue(GRANT);
  expect(issued?.hash).toMatch(/^[0-9a-f]{64}$/);
  expect(tokens.find(issued?.hash ?? '')).toBeUndefined();
  const later = new AccessTokens();
  expect(later.restore(issued?.hash ?? '', GRANT)).toBe(true);
  expect(later.find(issued?.token ?? '')).toBe(GRANT);
  later.revoke(issued?.hash ?? '');
  expect(later.find(issued?.token ?? '')).toBeUndefined();
});

it('the whole hash decides, and not its beginning', () => {
  const { token = '', hash = '' } = new AccessTokens().issue(GRANT) ?? {};
  const tokens = new AccessTokens();
  tokens.restore(`${hash.slice(0, -1)}${hash.endsWith('0') ? '1' : '0'}`, GRANT);
  expect(tokens.find(token)).toBeUndefined();
});

it.each(['', 'aip-', 'x'.repeat(100_000), 'Bearer x'])('what was never issued stands for nothing', (token) => {
  expect(new AccessTokens().find(token)).toBeUndefined();
});

it('the number of tokens is bounded', () => {
  const tokens = new AccessTokens();
  const issued = Array.from({ length: 4097 }, () => tokens.issue(GRANT));
  expect(issued.filter((one) => one === undefined)).toHaveLength(1);
});
