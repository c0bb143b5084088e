/**
 * Scopes, by the names that people and providers use for them. Pure.
 */

import { GOOGLE } from './account-name.ts';

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
