/**
 * `aipassd revoke`: ends an OAuth account's grant, at its provider and here.
 */

import { JSON_FLAG } from '../options.ts';
import { defineVerb } from '../verb.ts';
import { ACCOUNT, fullName } from './account-option.ts';

/** Revokes an account's grant. */
export const revoke = defineVerb({
  name: 'revoke',
  summary: "end an OAuth account's grant: at its provider, and its tokens here",
  parameters: { ...ACCOUNT, json: JSON_FLAG },
  async run({ name, account, json }, { out, connect, signal }) {
    const aipass = await connect();
    const result = await aipass.request('oauth.revoke', { name: fullName(name, account) }, { signal });
    if (json) {
      out.json(result);
      return 0;
    }
    out.line(`${result.name}: the tokens are deleted here`);
    if (result.atProvider) out.line('  and the provider has ended the grant');
    else {
      out.warn(
        'the grant still exists at the provider, which has no endpoint to revoke it',
        'end the access in your account settings there',
      );
    }
    return 0;
  },
});
