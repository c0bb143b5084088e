/**
 * How the verbs of OAuth name an account: as one word (`google.work`), or with `--account work`.
 */

import { splitList } from '../../base/split-list.ts';
import { requiredWord, textOption, optionalWord } from '../options.ts';

const NAME = 'name of the account, such as google or google.work';

/** Parameters of a verb that is about one account. */
export const ACCOUNT = {
  name: requiredWord(NAME, 'accounts'),
  account: textOption('A', 'one of several accounts: "google --account work" is "google.work"'),
} as const;

/** Parameters of a verb that is about one account or all. */
export const ACCOUNT_OR_ALL = { ...ACCOUNT, name: optionalWord(`${NAME}; all without it`, 'accounts') } as const;

/** Returns the full name of an account. */
export function fullName(name: string, account: string | undefined): string {
  return account === undefined || account === 'default' ? name : `${name}.${account}`;
}

/** Returns the scopes of `--scopes`, or undefined where there is none. */
export function scopesOf(option: string | undefined): readonly string[] | undefined {
  const found = splitList(option ?? '');
  return found.length === 0 ? undefined : found;
}
