/**
 * Names of accounts, and the files that belong to them. A name is `google`, `spotify`, or, for a
 * further account of a provider, `google.work`: the provider, a dot, the account. Names from
 * outside never become paths unchecked.
 */

import { join } from 'node:path';
import { OAUTH_FOLDER } from '../credentials/opaque-store.ts';

/** Account that a bare provider name means. */
export const DEFAULT_ACCOUNT = 'default';

/** Provider whose files have Google's own shape and names. */
export const GOOGLE = 'google';

export const GOOGLE_CLIENT_FILE = 'google_client_secret.json';

const PROVIDER = /^[a-z0-9][a-z0-9_-]{0,62}$/;
/** Pattern of an account; an e-mail address fits, because people name their Google accounts so. */
const ACCOUNT = /^[A-Za-z0-9][A-Za-z0-9_.@+-]{0,127}$/;

/** Returns an account's name as it is written here, or undefined for a text that cannot be one. */
export function parseAccountName(text: string): string | undefined {
  const { provider, account } = splitAccountName(text);
  const isName = PROVIDER.test(provider) && ACCOUNT.test(account) && !account.includes('..');
  return isName ? formatAccountName(provider, account) : undefined;
}

/** Returns the provider of a name, and the account: `default` for the provider's first. */
export function splitAccountName(name: string): { readonly provider: string; readonly account: string } {
  const dot = name.indexOf('.');
  if (dot === -1) return { provider: name, account: DEFAULT_ACCOUNT };
  return { provider: name.slice(0, dot), account: name.slice(dot + 1) };
}

export function providerOf(name: string): string {
  return splitAccountName(name).provider;
}

/** Formats a name; the default account goes by its provider alone. */
export function formatAccountName(provider: string, account: string): string {
  return account === DEFAULT_ACCOUNT ? provider : `${provider}.${account}`;
}

/** Provider of the accounts for MCP servers; the account is the server's host. */
const MCP = 'mcp';

/** Returns the name for an MCP server; `withPort` where another server has its host's name. */
export function mcpAccountName({ hostname, port, pathname }: URL, withPort = false): string {
  const more = withPort ? `-${port}${pathname.replace(/\/+$/, '')}` : '';
  const account = `${hostname}${more}`.replace(/[^A-Za-z0-9_.@+-]+/g, '-').replace(/^[^A-Za-z0-9]+|-+$/g, '');
  return formatAccountName(MCP, account.slice(0, 128));
}

/** Returns the names that one with an address (`mcp.localhost:3000`) may mean, best first. */
export function namesMeantBy(name: string): readonly string[] {
  if (!name.includes(':')) return [name];
  const address = name.startsWith(`${MCP}.`) ? `http://${name.slice(MCP.length + 1)}/` : name;
  if (!URL.canParse(address)) return [name];
  return [true, false].map((withPort) => mcpAccountName(new URL(address), withPort));
}

/**
 * Returns the files of an account under the secrets folder. The client's file is used when the
 * account's own has no client id; a provider's first account outside Google has none.
 */
export function accountFiles(
  secrets: string,
  name: string,
): { readonly file: string; readonly clientFile: string | null } {
  const { provider, account } = splitAccountName(name);
  if (provider === GOOGLE) {
    const suffix = account === DEFAULT_ACCOUNT ? '' : `.${account}`;
    return { file: join(secrets, `google_creds${suffix}.json`), clientFile: join(secrets, GOOGLE_CLIENT_FILE) };
  }
  const folder = join(secrets, OAUTH_FOLDER);
  return {
    file: join(folder, `${name}.json`),
    clientFile: account === DEFAULT_ACCOUNT ? null : join(folder, `${provider}.json`),
  };
}

/** Returns the account of a file in the secrets folder; undefined for any other file. */
export function googleFileAccount(fileName: string): string | undefined {
  const match = /^google_creds(\..+)?\.json$/.exec(fileName);
  return match === null ? undefined : parseAccountName(`${GOOGLE}${match[1] ?? ''}`);
}

/** Returns the account of a file in the folder `oauth`; undefined for any other file. */
export function oauthFileAccount(fileName: string): string | undefined {
  if (!fileName.endsWith('.json')) return undefined;
  const name = parseAccountName(fileName.slice(0, -'.json'.length));
  return name === undefined || providerOf(name) === GOOGLE ? undefined : name;
}

/** Pattern of our own locks beside the files of accounts, and of their drafts (file-lock.ts). */
const OWN_LOCK = /^\..+\.json\.lock(?:\.[0-9a-f.-]+)?$/;

/** Patterns of a copy's name by synchronizers, editors and people; groups give the original's. */
const COPIES: readonly RegExp[] = [
  /^(.+?)\.sync-conflict-.*(\.json)$/i,
  /^(.+?)[ _-]?\([^()]*\)(\.json)$/,
  /^(.+?)[ _-]+(?:- )?(?:copy|kopie|copie|copia)(?:[ _-]?\d+)?(\.json)$/i,
  /^copy of (.+?)(\.json)$/i,
  /^(.+?) \d+(\.json)$/,
  /^(.+?)-(?:DESKTOP|LAPTOP)-[A-Z0-9]+(\.json)$/,
  /^(.+?)[._-]\d{4}-?\d\d-?\d\d(?:[T_.-]?[\d_.-]*)(\.json)$/,
  /^(.+?)[._-]conflict(?:ed)?[^/]*(\.json)$/i,
  /^(.+?)[._-](?:bak|old|orig|backup)[-_.\d]*(\.json)$/i,
  /^[.#]*(.+?)(\.json)(?:[#~]+|[._-].+)$/,
];

/** Returns the name of the file that a file is a copy of, by its name alone. */
export function originalOfCopy(fileName: string): string | undefined {
  if (OWN_LOCK.test(fileName)) return undefined;
  for (const pattern of COPIES) {
    const [, stem, extension] = pattern.exec(fileName) ?? [];
    if (stem === undefined || extension === undefined) continue;
    const original = `${stem}${extension.toLowerCase()}`;
    // A copy of a copy.
    return originalOfCopy(original) ?? original;
  }
  return undefined;
}
