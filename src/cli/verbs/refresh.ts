/**
 * `aipassd refresh`: renews one account's token, or all, now.
 */

import { JSON_FLAG } from '../options.ts';
import { defineVerb } from '../verb.ts';
import { ACCOUNT_OR_ALL, fullName } from './account-option.ts';

/** Renews tokens; ends with 2 when one could not be renewed. */
export const refresh = defineVerb({
  name: 'refresh',
  summary: "refresh one OAuth account's token, or all, now",
  parameters: { ...ACCOUNT_OR_ALL, json: JSON_FLAG },
  async run({ name, account, json }, { out, connect, signal }) {
    const aipass = await connect();
    const params = name === undefined ? {} : { name: fullName(name, account) };
    const { results } = await aipass.request('oauth.refresh', params, { signal });
    if (json) out.json(results);
    else {
      for (const one of results) {
        out.line(`${one.name}  ${one.outcome}${one.reason === null ? '' : `: ${one.reason}`}`);
        if (one.action !== null) out.hint(one.action);
      }
      if (results.length === 0) out.line('there is no OAuth account yet: aipassd reauth <name> makes one');
    }
    return results.every((one) => ['refreshed', 'superseded', 'kept'].includes(one.outcome)) ? 0 : 2;
  },
});
