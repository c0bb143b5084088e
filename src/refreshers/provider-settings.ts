/**
 * How to talk to one OAuth provider: its endpoints and its habits, as data. They come from the account's own file, the
 * configuration and a preset, in this order; the first that names a setting wins.
 */

/** Names how a client proves itself at the token endpoint, by the names of RFC 7591 §2. */
export type ClientAuthentication = 'client_secret_basic' | 'client_secret_post' | 'none';

/** Is what may be known of a provider; all of it is optional, because discovery (RFC 8414) can fill it in. */
export interface ProviderSettings {
  readonly issuer?: string | undefined;
  readonly authorizationEndpoint?: string | undefined;
  readonly tokenEndpoint?: string | undefined;
  /** Is the device authorization endpoint of RFC 8628. */
  readonly deviceEndpoint?: string | undefined;
  /** Is the revocation endpoint of RFC 7009. */
  readonly revocationEndpoint?: string | undefined;
  readonly clientId?: string | undefined;
  readonly clientAuthentication?: ClientAuthentication | undefined;
  /** Is where the provider sends the browser back to, where it insists on one registered address. */
  readonly redirectUri?: string | undefined;
  /** Is what is asked for when neither the user nor the account names scopes. */
  readonly scopes?: readonly string[] | undefined;
  /** Separates scopes in requests; a space unless the provider departs from RFC 6749 §3.3. */
  readonly scopeSeparator?: ' ' | ',' | undefined;
  /** Is added to the authorization request. */
  readonly authorizationParams?: Readonly<Record<string, string>> | undefined;
  /** Names the field of a token answer that holds the tokens, where they are not at the top. */
  readonly nestedAnswer?: string | undefined;
  /** Tells that tokens come without any user, from client id and secret alone (RFC 6749 §4.4). */
  readonly clientCredentials?: boolean | undefined;
}

/** Merges settings; an earlier source wins, setting by setting. */
export function mergeSettings(...sources: readonly (ProviderSettings | undefined)[]): ProviderSettings {
  const merged: Record<string, unknown> = {};
  for (const source of sources.toReversed()) {
    for (const [key, value] of Object.entries(source ?? {})) if (value !== undefined) merged[key] = value;
  }
  return merged;
}
