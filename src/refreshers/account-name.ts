/**
 * What accounts are called, and where each one's file is. A name is `google`, `spotify`, or, for a further account of a
 * provider, `google.work`: the provider, a dot, the account. Names from outside never become paths unchecked.
 */

import { join } from 'node:path';

/** Names one account of one provider. */
export interface AccountName {
  readonly provider: string;
  /** Is `default` where the provider's only account, or its first, is meant. */
  readonly account: string;
}

/** Is the account that a bare provider name means. */
export const DEFAULT_ACCOUNT = 'default';

/** Is the provider whose files have Google's own shape and names. */
export const GOOGLE = 'google';

const PROVIDER = /^[a-z0-9][a-z0-9_-]{0,62}$/;
/** Allows an e-mail address, which is what people call their Google accounts. */
const ACCOUNT = /^[A-Za-z0-9][A-Za-z0-9_.@+-]{0,127}$/;

/** Parses a printed name; returns undefined for what can be none. */
export function parseAccountName(text: string): AccountName | undefined {
  const dot = text.indexOf('.');
  const provider = dot === -1 ? text : text.slice(0, dot);
  const account = dot === -1 ? DEFAULT_ACCOUNT : text.slice(dot + 1);
  if (!PROVIDER.test(provider) || !ACCOUNT.test(account) || account.includes('..')) return undefined;
  return { provider, account };
}

/** Prints a name; the default account goes by its provider alone. */
export function printAccountName(name: AccountName): string {
  return name.account === DEFAULT_ACCOUNT ? name.provider : `${name.provider}.${name.account}`;
}

/** Says where an account's file is, and the file of the client that it belongs to. */
export interface AccountPlace {
  readonly file: string;
  /** Is where client id and secret are looked for when the account's own file has none; null for a provider's first account outside Google. */
  readonly clientFile: string | null;
}

/** Finds the files of an account under the secrets folder. */
export function accountPlace(secrets: string, name: AccountName): AccountPlace {
  const suffix = name.account === DEFAULT_ACCOUNT ? '' : `.${name.account}`;
  if (name.provider === GOOGLE) {
    return {
      file: join(secrets, `google_creds${suffix}.json`),
      clientFile: join(secrets, 'google_client_secret.json'),
    };
  }
  const folder = join(secrets, 'oauth');
  return {
    file: join(folder, `${name.provider}${suffix}.json`),
    clientFile: suffix === '' ? null : join(folder, `${name.provider}.json`),
  };
}

/** Reads an account's name from the name of a file in the secrets folder; undefined for any other file. */
export function googleFileAccount(fileName: string): AccountName | undefined {
  const match = /^google_creds(?:\.(.+))?\.json$/.exec(fileName);
  return match === null ? undefined : parseAccountName(match[1] === undefined ? GOOGLE : `${GOOGLE}.${match[1]}`);
}

/** Reads an account's name from the name of a file in the folder `oauth`; undefined for any other file. */
export function oauthFileAccount(fileName: string): AccountName | undefined {
  if (!fileName.endsWith('.json')) return undefined;
  const name = parseAccountName(fileName.slice(0, -'.json'.length));
  return name === undefined || name.provider === GOOGLE ? undefined : name;
}
