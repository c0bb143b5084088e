/**
 * What a token may do, by the names that people and providers use for it. Pure.
 */

import { GOOGLE } from './account-name.ts';

/** Is where the names of Google's scopes begin (developers.google.com/identity/protocols/oauth2/scopes). */
const GOOGLE_PREFIX = 'https://www.googleapis.com/auth/';

/** Maps the OpenID names that Google answers to by others. */
const GOOGLE_ALIASES: Readonly<Record<string, string>> = {
  email: `${GOOGLE_PREFIX}userinfo.email`,
  profile: `${GOOGLE_PREFIX}userinfo.profile`,
};

/** Names scopes that ask for something other than access, so that no answer repeats them. */
const SILENT = new Set(['openid', 'offline_access']);

/** Writes scopes as the provider does: for Google `drive.file` is short for `https://www.googleapis.com/auth/drive.file`. */
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
