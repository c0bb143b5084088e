import { expect, it } from 'vitest';
import { judgeAccounts } from '../../../src/cli/verbs/key.ts';
import { Aipass } from '../../../src/client/aipass.ts';
import type { AccountState, AccountStatus } from '../../../src/protocol/oauth.ts';

function account(state: AccountState): AccountStatus {
  const lastOutcome = { kind: 'transient', at: 0, reason: 'the provider could not be reached' };
  return {
    name: state,
    kind: 'google',
    state,
    scopes: [],
    expiresAt: null,
    missingScopes: [],
    refreshExpiresAt: null,
    nextRefreshAt: null,
    lastOutcome,
    action: null,
  };
}

it('an account whose provider could not be reached is neither good nor bad', async () => {
  const nobody = new Aipass({ socket: '/nonexistent/aipassd.sock', caller: undefined, client: 'test' });
  const states = ['fresh', 'stale', 'failing', 'reauth-required', 'unusable'] as const;
  const verdicts = await judgeAccounts(nobody, states.map(account), false);
  expect(verdicts.map(({ verdict }) => verdict)).toEqual(['valid', 'valid', 'unknown', 'invalid', 'invalid']);
  expect(verdicts[2]?.detail).toBe('failing: the provider could not be reached');
});
