/**
 * `aipassd revoke`: ends an OAuth account's grant, at its provider and here.
 */

import { JSON_OPTION, type Verb } from '../verb.ts';
import { ACCOUNT_DETAIL, ACCOUNT_OPTION, accountOf } from './account-option.ts';

const USAGE = '<name> [--account A] [--json]';

/** Revokes an account's grant. */
export const revoke: Verb = {
  name: 'revoke',
  usage: USAGE,
  summary: "end an OAuth account's grant: at its provider, and its tokens here",
  details: [ACCOUNT_DETAIL, '--json       print the result as a document'],
  options: { ...JSON_OPTION, ...ACCOUNT_OPTION },
  maxPositionals: 1,
  async run(args, { out, connect, signal }) {
    const name = accountOf(args, `revoke ${USAGE}`);
    const aipass = await connect();
    const result = await aipass.request('oauth.revoke', { name }, { signal });
    if (args.flag('json')) {
      out.json(result);
      return 0;
    }
    out.line(`${result.name}: the tokens are deleted here`);
    if (result.atProvider) out.line('  and the provider has ended the grant');
    else out.warn('the provider was not told: it has no way for that', 'end the access in your account settings there');
    return 0;
  },
};
