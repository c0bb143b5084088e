/**
 * Redirect of an authorization request: its secret half, and the judgement of what comes back.
 * Pure.
 */

import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { Secret } from '../../base/secret.ts';

/**
 * Secret half of an authorization request: what its answer is checked with. It never leaves the
 * worker.
 */
export interface PendingAuthorization {
  readonly redirectUri: string;
  readonly state: string;
  readonly verifier: Secret;
  /** PKCE challenge, S256 (RFC 7636 §4.2). */
  readonly challenge: string;
}

/** Judgement of a redirect, before anything of it is used. */
export type RedirectOutcome =
  | { readonly kind: 'code'; readonly code: Secret; readonly params: URLSearchParams }
  | { readonly kind: 'denied'; readonly error: string; readonly description: string | undefined }
  /** Without code and error, or with another state: not the answer to this request. */
  | { readonly kind: 'foreign' };

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

/**
 * Judges the parameters of a redirect: the state first (RFC 6749 §10.12), then whether it brings a
 * code or a refusal.
 */
export function judgeRedirect(pending: PendingAuthorization, params: URLSearchParams): RedirectOutcome {
  const state = Buffer.from(params.get('state') ?? '');
  const expected = Buffer.from(pending.state);
  if (state.length !== expected.length || !timingSafeEqual(state, expected)) return { kind: 'foreign' };
  const code = params.get('code');
  if (code !== null && code !== '' && !params.has('error')) return { kind: 'code', code: new Secret(code), params };
  if (!params.has('error')) return { kind: 'foreign' };
  const error = params.get('error') ?? '';
  return {
    kind: 'denied',
    error: /^[A-Za-z0-9_.-]{1,64}$/.test(error) ? error : 'unknown_error',
    description: params.get('error_description') ?? undefined,
  };
}

/**
 * Parses a redirect address that the user pasted; undefined when it is not the expected address.
 */
export function parsePastedRedirect(pending: PendingAuthorization, text: string): URLSearchParams | undefined {
  const trimmed = text.trim();
  if (!URL.canParse(trimmed)) return undefined;
  const url = new URL(trimmed);
  const expected = new URL(pending.redirectUri);
  return url.origin === expected.origin && url.pathname === expected.pathname ? url.searchParams : undefined;
}
