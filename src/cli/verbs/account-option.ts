/**
 * How the verbs of OAuth name an account: as one word (`google.work`), or with `--account work`.
 */

import { UsageError } from '../usage-error.ts';
import type { Arguments } from '../verb.ts';

/** Is the option of every verb that is about one account. */
export const ACCOUNT_OPTION = { account: { type: 'string' } } as const;

/** Explains the option. */
export const ACCOUNT_DETAIL = '--account A  one of several accounts: "google --account work" is "google.work"';

/** Returns the account that the words name. @throws UsageError where they name none. */
export function accountOf(args: Arguments, usage: string): string {
  const [name] = args.positionals;
  if (name === undefined)
    throw new UsageError('the name of an account is needed, such as google', `usage: aipassd ${usage}`);
  const account = args.text('account');
  return account === undefined || account === 'default' ? name : `${name}.${account}`;
}

/** Splits `--scopes` at commas and spaces. */
export function scopesOf(args: Arguments): readonly string[] | undefined {
  const scopes = args
    .text('scopes')
    ?.split(/[\s,]+/)
    .filter((scope) => scope !== '');
  return scopes === undefined || scopes.length === 0 ? undefined : scopes;
}
