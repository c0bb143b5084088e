/**
 * Endpoints and habits of OAuth providers, as data. Settings come from the account's own file, the
 * configuration and a preset, in this order; the first that has a setting wins. Scopes go by the
 * names that people and providers use for them. No code knows a provider's name but Google's.
 */

import { isLoopbackHost } from '../base/loopback.ts';
import { GOOGLE } from './account-name.ts';

/** Methods by which a client proves itself at the token endpoint, by the names of RFC 7591 §2. */
export const CLIENT_AUTHENTICATIONS = [
  'client_secret_basic',
  'client_secret_post',
  'client_secret_jwt',
  'private_key_jwt',
  'none',
] as const;

/** Method by which a client proves itself at the token endpoint. */
export type ClientAuthentication = (typeof CLIENT_AUTHENTICATIONS)[number];

/**
 * Parameters added to a request; a list sends the parameter several times, as RFC 8707 has it for
 * `resource`.
 */
export type ExtraParams = Readonly<Record<string, string | readonly string[]>>;

/** Settings of a provider. All are optional, because discovery (RFC 8414) can fill them in. */
export interface ProviderSettings {
  readonly issuer?: string | undefined;
  readonly authorizationEndpoint?: string | undefined;
  readonly tokenEndpoint?: string | undefined;
  /** Device authorization endpoint (RFC 8628). */
  readonly deviceEndpoint?: string | undefined;
  /** Revocation endpoint (RFC 7009). */
  readonly revocationEndpoint?: string | undefined;
  readonly clientId?: string | undefined;
  readonly clientAuthentication?: ClientAuthentication | undefined;
  /** Algorithm of `private_key_jwt`, such as ES256; chosen by the key where absent. */
  readonly clientSigningAlgorithm?: string | undefined;
  /** Redirect address, where the provider accepts one registered address only. */
  readonly redirectUri?: string | undefined;
  /** Scopes to ask for when neither the user nor the account names one. */
  readonly scopes?: readonly string[] | undefined;
  /** Separator of scopes in requests; a space unless the provider departs from RFC 6749 §3.3. */
  readonly scopeSeparator?: ' ' | ',' | undefined;
  /** Parameters added to the authorization request. */
  readonly authorizationParams?: ExtraParams | undefined;
  /** Parameters added to every request to the token endpoint. */
  readonly tokenParams?: ExtraParams | undefined;
  /** Parameters added to both, such as `audience` and `resource` (RFC 8707). */
  readonly commonParams?: ExtraParams | undefined;
  /** Field of a token answer that holds the tokens, where they are not at the top. */
  readonly nestedAnswer?: string | undefined;
  /** Whether tokens come without any user, from client id and secret alone (RFC 6749 §4.4). */
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

/**
 * Returns whether secrets may be sent to an address: https, or plain http to this machine itself.
 */
export function isSafeEndpoint(address: string): boolean {
  if (!URL.canParse(address)) return false;
  const url = new URL(address);
  if (url.username !== '' || url.password !== '') return false;
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopbackHost(url.hostname));
}

/**
 * Settings of well-known providers, by name. Endpoints are from each provider's public
 * documentation.
 */
export const PRESETS: Readonly<Record<string, ProviderSettings>> = {
  // https://developers.google.com/identity/protocols/oauth2/native-app and .../limited-input-device
  google: {
    authorizationEndpoint: 'https://accounts.google.com/o/oauth2/v2/auth',
    tokenEndpoint: 'https://oauth2.googleapis.com/token',
    deviceEndpoint: 'https://oauth2.googleapis.com/device/code',
    revocationEndpoint: 'https://oauth2.googleapis.com/revoke',
    clientAuthentication: 'client_secret_post',
  },
  // https://docs.github.com/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps
  github: {
    authorizationEndpoint: 'https://github.com/login/oauth/authorize',
    tokenEndpoint: 'https://github.com/login/oauth/access_token',
    deviceEndpoint: 'https://github.com/login/device/code',
    clientAuthentication: 'client_secret_post',
  },
  // https://docs.gitlab.com/api/oauth2/
  gitlab: {
    authorizationEndpoint: 'https://gitlab.com/oauth/authorize',
    tokenEndpoint: 'https://gitlab.com/oauth/token',
    deviceEndpoint: 'https://gitlab.com/oauth/authorize_device',
    revocationEndpoint: 'https://gitlab.com/oauth/revoke',
    clientAuthentication: 'client_secret_post',
    scopes: ['read_user'],
  },
  // https://developers.linear.app/docs/oauth/authentication
  linear: {
    authorizationEndpoint: 'https://linear.app/oauth/authorize',
    tokenEndpoint: 'https://api.linear.app/oauth/token',
    revocationEndpoint: 'https://api.linear.app/oauth/revoke',
    clientAuthentication: 'client_secret_post',
    scopeSeparator: ',',
    scopes: ['read'],
  },
  // https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow; offline_access is
  // what brings a refresh token.
  microsoft: {
    authorizationEndpoint: 'https://login.microsoftonline.com/common/oauth2/v2.0/authorize',
    tokenEndpoint: 'https://login.microsoftonline.com/common/oauth2/v2.0/token',
    deviceEndpoint: 'https://login.microsoftonline.com/common/oauth2/v2.0/devicecode',
    clientAuthentication: 'client_secret_post',
    scopes: ['offline_access', 'User.Read'],
  },
  // https://developers.notion.com/docs/authorization
  notion: {
    authorizationEndpoint: 'https://api.notion.com/v1/oauth/authorize',
    tokenEndpoint: 'https://api.notion.com/v1/oauth/token',
    clientAuthentication: 'client_secret_basic',
    authorizationParams: { owner: 'user' },
  },
  // https://docs.slack.dev/authentication/installing-with-oauth and .../using-token-rotation; a
  // user's tokens are nested.
  slack: {
    authorizationEndpoint: 'https://slack.com/oauth/v2/authorize',
    tokenEndpoint: 'https://slack.com/api/oauth.v2.access',
    clientAuthentication: 'client_secret_post',
    scopeSeparator: ',',
    nestedAnswer: 'authed_user',
  },
  // https://developer.spotify.com/documentation/web-api/tutorials/code-flow
  spotify: {
    authorizationEndpoint: 'https://accounts.spotify.com/authorize',
    tokenEndpoint: 'https://accounts.spotify.com/api/token',
    clientAuthentication: 'client_secret_basic',
  },
};

/** Prefix of Google's scopes (developers.google.com/identity/protocols/oauth2/scopes). */
const GOOGLE_PREFIX = 'https://www.googleapis.com/auth/';

/** Google's own names for OpenID scopes. */
const GOOGLE_ALIASES: Readonly<Record<string, string>> = {
  email: `${GOOGLE_PREFIX}userinfo.email`,
  profile: `${GOOGLE_PREFIX}userinfo.profile`,
};

/** Scopes that ask for something other than access, so that answers need not repeat them. */
const SILENT = new Set(['openid', 'offline_access', 'offline']);

/**
 * Returns scopes as the provider writes them: for Google `drive.file` is short for
 * `https://www.googleapis.com/auth/drive.file`.
 */
export function expandScopes(provider: string, scopes: readonly string[]): string[] {
  if (provider !== GOOGLE) return [...new Set(scopes)];
  const expanded = scopes.map((scope) => {
    if (scope === 'openid' || scope.includes('://')) return scope;
    return GOOGLE_ALIASES[scope] ?? `${GOOGLE_PREFIX}${scope}`;
  });
  return [...new Set(expanded)];
}

/** Returns the wanted scopes that are not among those held. */
export function missingScopes(provider: string, held: readonly string[], wanted: readonly string[]): string[] {
  const have = new Set(expandScopes(provider, held));
  return expandScopes(provider, wanted).filter((scope) => !have.has(scope) && !SILENT.has(scope));
}
