/**
 * `aipassd revoke`: ends an OAuth account's grant, at its provider and here.
 */

import type { Verb } from '../verb.ts';
import { ACCOUNT_DETAIL, ACCOUNT_OPTION, accountOf } from './account-option.ts';

const USAGE = '<name> [--account A]';

/** Revokes an account's grant. */
export const revoke: Verb = {
  name: 'revoke',
  usage: USAGE,
  summary: "end an OAuth account's grant: at its provider, and its tokens here",
  details: [ACCOUNT_DETAIL],
  options: ACCOUNT_OPTION,
  maxPositionals: 1,
  async run(args, { out, connect, signal }) {
    const name = accountOf(args, `revoke ${USAGE}`);
    const aipass = await connect();
    const result = await aipass.request('oauth.revoke', { name }, { signal });
    out.line(`${result.name}: the tokens are deleted here`);
    if (result.atProvider) out.line('  and the provider has ended the grant');
    else out.warn('the provider was not told: it has no way for that', 'end the access in your account settings there');
    return 0;
  },
};
