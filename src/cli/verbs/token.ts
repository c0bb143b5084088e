/**
 * `aipassd token`: prints an OAuth account's access token, fresh.
 */

import { UsageError } from '../usage-error.ts';
import { JSON_OPTION, type Verb } from '../verb.ts';
import { ACCOUNT_DETAIL, ACCOUNT_OPTION, accountOf, scopesOf } from './account-option.ts';

const USAGE = '<name> [--account A] [--min-valid S] [--scopes S,…] [--json]';

/** Prints a token. */
export const token: Verb = {
  name: 'token',
  usage: USAGE,
  summary: "print an OAuth account's access token, renewed where it is about to expire",
  details: [
    ACCOUNT_DETAIL,
    '--min-valid S  how long it must still be valid, in seconds (60 without it)',
    '--scopes S,…   the scopes that it must have',
    '--json         print token, expiry, type and scopes as a document',
  ],
  options: { ...JSON_OPTION, ...ACCOUNT_OPTION, 'min-valid': { type: 'string' }, scopes: { type: 'string' } },
  maxPositionals: 1,
  async run(args, { out, connect, signal }) {
    const name = accountOf(args, `token ${USAGE}`);
    const scopes = scopesOf(args);
    const minValid = args.text('min-valid');
    if (minValid !== undefined && !/^\d{1,6}$/.test(minValid)) {
      throw new UsageError('--min-valid is a number of seconds', `usage: aipassd token ${USAGE}`);
    }
    const aipass = await connect();
    const value = await aipass.token(name, {
      signal,
      ...(minValid === undefined ? {} : { minValidSeconds: Number(minValid) }),
      ...(scopes === undefined ? {} : { scopes }),
    });
    if (args.flag('json')) out.json(value);
    else out.line(value.accessToken);
    return 0;
  },
};
