/**
 * The secret half of an authorization request: what its answer is checked with. It never leaves the worker.
 */

import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { Secret } from '../../base/secret.ts';

/** Is an authorization request that waits for its redirect. */
export interface PendingAuthorization {
  readonly redirectUri: string;
  readonly state: string;
  readonly verifier: Secret;
  /** Is the PKCE challenge, S256 (RFC 7636 §4.2). */
  readonly challenge: string;
}

/** Is how a redirect is judged before anything of it is used. */
export type RedirectVerdict =
  | { readonly kind: 'code'; readonly code: Secret; readonly params: URLSearchParams }
  | { readonly kind: 'wrong-state' }
  | { readonly kind: 'denied'; readonly error: string }
  | { readonly kind: 'none' };

/** Makes a request's secret half: 256 random bits each for state and verifier. */
export function createPending(redirectUri: string): PendingAuthorization {
  const verifier = randomBytes(32).toString('base64url');
  return {
    redirectUri,
    state: randomBytes(32).toString('base64url'),
    verifier: new Secret(verifier),
    challenge: createHash('sha256').update(verifier).digest('base64url'),
  };
}

/** Judges the parameters of a redirect: the state first (RFC 6749 §10.12), then whether it brings a code or a refusal. */
export function judgeRedirect(pending: PendingAuthorization, params: URLSearchParams): RedirectVerdict {
  if (!params.has('code') && !params.has('error')) return { kind: 'none' };
  const state = Buffer.from(params.get('state') ?? '');
  const expected = Buffer.from(pending.state);
  if (state.length !== expected.length || !timingSafeEqual(state, expected)) return { kind: 'wrong-state' };
  const code = params.get('code');
  if (code !== null && code !== '' && !params.has('error')) return { kind: 'code', code: new Secret(code), params };
  const error = params.get('error') ?? '';
  return { kind: 'denied', error: /^[A-Za-z0-9_.-]{1,64}$/.test(error) ? error : 'unknown_error' };
}

/** Reads the parameters of a redirect address that the user pasted; undefined when it is not the expected address. */
export function parsePastedRedirect(pending: PendingAuthorization, text: string): URLSearchParams | undefined {
  const trimmed = text.trim();
  if (!URL.canParse(trimmed)) return undefined;
  const url = new URL(trimmed);
  const expected = new URL(pending.redirectUri);
  return url.origin === expected.origin && url.pathname === expected.pathname ? url.searchParams : undefined;
}
