/**
 * Makes sense of what a token endpoint sent: pure, and prepared for anything. What passes on has the shape of RFC 6749
 * §5.1 and §5.2, whatever habits the provider has.
 */

import { isJsonObject, splitScopes, type JsonObject } from '../json-fields.ts';

/** Is the longest lifetime that is believed, in seconds (ten years). */
const MAX_LIFETIME_S = 315_360_000;

/** Matches what a token may consist of (RFC 6749 appendix A.12: visible ASCII and space). */
const TOKEN = /^[\x20-\x7e]{1,65536}$/;

/** Matches an error code that may be repeated to people (RFC 6749 §5.2, shorter). */
const ERROR_CODE = /^[A-Za-z0-9_.:-]{1,64}$/;

/** Names the errors that ask for patience rather than refuse: RFC 6749's and 8628's, Slack's, and what others call their limits. */
const PATIENCE = new Set([
  'temporarily_unavailable',
  'server_error',
  'slow_down',
  'ratelimited',
  'rate_limited',
  'internal_error',
  'fatal_error',
  'request_timeout',
  'service_unavailable',
  'rate_limit_exceeded',
  'request_limit_exceeded',
  'too_many_requests',
  'internal_failure',
]);

/** Stands for an error that is no code. */
export const UNKNOWN_ERROR = 'unknown_error';

/** Is the error that a document speaks of: RFC 6749's `error`, or what some providers have instead. */
export interface SpokenError {
  readonly code: string;
  readonly description: string | undefined;
  /** Tells whether the error itself says that trying again helps. */
  readonly transient: boolean;
}

/** Returns the error inside a document, or undefined where it speaks of none. */
export function spokenError(document: JsonObject): SpokenError | undefined {
  const value = document['error'];
  const inner = isJsonObject(value) ? (value['code'] ?? value['status'] ?? value['type']) : value;
  if (value === undefined || value === null || value === false || value === '') return undefined;
  const code = typeof inner === 'string' && ERROR_CODE.test(inner) ? inner : UNKNOWN_ERROR;
  const description = document['error_description'];
  return {
    code,
    description: typeof description === 'string' ? description : undefined,
    transient: PATIENCE.has(code.toLowerCase()),
  };
}

/**
 * Brings a token answer into the shape of RFC 6749 §5.1: tokens at the top, a number as `expires_in`, a token type, scopes
 * separated by spaces, and no ID token, which nobody here uses. Returns undefined when there is no usable access token.
 */
export function normalizeTokenAnswer(document: JsonObject, nested: string | undefined): JsonObject | undefined {
  const inner = nested === undefined ? undefined : document[nested];
  const source =
    typeof document['access_token'] !== 'string' && isJsonObject(inner) ? { ...document, ...inner } : document;
  const accessToken = source['access_token'];
  if (typeof accessToken !== 'string' || !TOKEN.test(accessToken)) return undefined;
  const refreshToken = source['refresh_token'];
  const expiresIn = lifetimeSeconds(source['expires_in']);
  const scope = source['scope'];
  const type = source['token_type'];
  return {
    access_token: accessToken,
    token_type: typeof type === 'string' && /^bearer$/i.test(type) ? type.toLowerCase() : 'bearer',
    ...(typeof refreshToken === 'string' && TOKEN.test(refreshToken) ? { refresh_token: refreshToken } : {}),
    ...(expiresIn === undefined ? {} : { expires_in: expiresIn }),
    ...(typeof scope === 'string' ? { scope: splitScopes(scope).join(' ') } : {}),
  };
}

/** Reads a lifetime: a number of seconds, also as text; an expiry in the past is none at all (0). Anything else is not known (undefined). */
function lifetimeSeconds(value: unknown): number | undefined {
  const seconds = typeof value === 'string' && /^-?\d+(?:\.\d+)?$/.test(value) ? Number(value) : value;
  if (typeof seconds !== 'number' || !Number.isFinite(seconds)) return undefined;
  return Math.min(MAX_LIFETIME_S, Math.max(0, Math.floor(seconds)));
}
