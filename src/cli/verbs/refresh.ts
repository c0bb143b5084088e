/**
 * `aipassd refresh`: renews one account's token, or all, now.
 */

import { JSON_OPTION, type Verb } from '../verb.ts';
import { ACCOUNT_DETAIL, ACCOUNT_OPTION, accountOf } from './account-option.ts';

const USAGE = '[name] [--account A] [--json]';

/** Renews tokens; ends with 2 when one could not be renewed. */
export const refresh: Verb = {
  name: 'refresh',
  usage: USAGE,
  summary: "renew one OAuth account's token, or all, now",
  details: [ACCOUNT_DETAIL, '--json       print a document'],
  options: { ...JSON_OPTION, ...ACCOUNT_OPTION },
  maxPositionals: 1,
  async run(args, { out, connect, signal }) {
    const name = args.positionals.length === 0 ? undefined : accountOf(args, `refresh ${USAGE}`);
    const aipass = await connect();
    const { results } = await aipass.request('oauth.refresh', { name }, { signal });
    if (args.flag('json')) out.json(results);
    else {
      for (const one of results) {
        out.line(`${one.name}  ${one.outcome}${one.reason === null ? '' : `: ${one.reason}`}`);
        if (one.action !== null) out.hint(one.action);
      }
      if (results.length === 0) out.line('there is no OAuth account yet: aipassd reauth <name> makes one');
    }
    return results.every((one) => one.outcome === 'refreshed' || one.outcome === 'superseded') ? 0 : 2;
  },
};
