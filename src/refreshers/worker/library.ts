/**
 * Chooses the library that serves a client: Google's own for Google's grants, oauth4webapi for all
 * others. Only the one that is needed is loaded.
 */

import type { OAuthClient } from './client.ts';

/** Loads the library of a client; both have the same functions. */
export async function loadLibrary({ kind }: OAuthClient) {
  return kind === 'google' ? await import('./google.ts') : await import('./oauth.ts');
}
