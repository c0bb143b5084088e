import { expect, it } from 'vitest';
import { isSafeEndpoint, PRESETS } from '../../../src/refreshers/provider-presets.ts';

it('there is a preset for each provider that people ask for most, with the two endpoints of the code flow', () => {
  expect(Object.keys(PRESETS).toSorted()).toEqual([
    'github',
    'gitlab',
    'google',
    'linear',
    'microsoft',
    'notion',
    'slack',
    'spotify',
  ]);
  for (const { authorizationEndpoint, tokenEndpoint } of Object.values(PRESETS)) {
    expect(authorizationEndpoint).toMatch(/^https:/);
    expect(tokenEndpoint).toMatch(/^https:/);
  }
});

it.each([
  ['https://example.org/token', true],
  ['http://127.0.0.1:8080/token', true],
  ['http://localhost/token', true],
  ['http://[::1]/token', true],
  ['http://example.org/token', false],
  ['http://127.0.0.1.example.org/', false],
  ['https://user:pass@example.org/', false],
  ['ftp://127.0.0.1/', false],
  ['nonsense', false],
])('%s may be sent secrets: %s', (address, safe) => {
  expect(isSafeEndpoint(address)).toBe(safe);
});
