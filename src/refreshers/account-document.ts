/**
 * What an account's file holds, in the forms that other programs write: google-auth for Python, Node's `authorized_user`
 * and the token file of googleapis' quickstarts, Google's service-account key, and our own `oauth/<name>.json`.
 *
 * Everything here is pure. Fields that nobody here knows survive a rewrite, in their place.
 */

import { createHash } from 'node:crypto';
import { Secret } from '../base/secret.ts';
import { epochField, FieldError, isJsonObject, parseJsonObject, scopesField, textField } from './json-fields.ts';
import type { JsonObject } from './json-fields.ts';
import { parseSettings } from './parse-settings.ts';
import type { ProviderSettings } from './provider-settings.ts';

/** Names the forms that a file can have. */
export type AccountForm = 'google-auth' | 'google-node' | 'service-account' | 'oauth';

/** Is a parsed account file. Times are epoch milliseconds. */
export interface AccountDocument {
  readonly form: AccountForm;
  readonly accessToken: Secret | null;
  readonly refreshToken: Secret | null;
  readonly tokenType: string;
  readonly expiresAt: number | null;
  /** Is when the access token was obtained, where the file says so. */
  readonly obtainedAt: number | null;
  readonly scopes: readonly string[];
  readonly clientId: string | null;
  readonly clientSecret: Secret | null;
  /** Is what the file says of its provider. */
  readonly settings: ProviderSettings;
  /** Is the whole document, for a rewrite. */
  readonly raw: JsonObject;
}

/** Is a set of tokens as a provider granted it; what is absent was not in the answer. */
export interface GrantedTokens {
  readonly accessToken: Secret;
  readonly refreshToken?: Secret;
  readonly tokenType: string;
  /** Is how long the access token lives, in seconds. */
  readonly expiresIn?: number;
  readonly scopes?: readonly string[];
}

/** Separates epoch seconds from epoch milliseconds: as seconds it is the year 5138, as milliseconds 1973. */
const SECONDS_BELOW = 1e11;

/**
 * Parses the text of an account's file.
 *
 * @throws FieldError saying what is wrong with it, in words that hold no value of it.
 */
export function parseAccount(text: string, google: boolean): AccountDocument {
  const raw = parseJsonObject(text);
  return google ? parseGoogle(raw) : parseOauth(raw);
}

function parseGoogle(raw: JsonObject): AccountDocument {
  if (raw['type'] === 'service_account') return parseServiceAccount(raw);
  if ('installed' in raw || 'web' in raw) {
    throw new FieldError('it is a client file; save it as google_client_secret.json instead');
  }
  // The quickstarts of googleapis save the answer as it came: access_token, expiry_date and scope.
  const node = 'access_token' in raw || 'expiry_date' in raw;
  return {
    form: node ? 'google-node' : 'google-auth',
    accessToken: secretField(raw, node ? 'access_token' : 'token'),
    refreshToken: secretField(raw, 'refresh_token'),
    tokenType: 'Bearer',
    expiresAt: node ? (epochField(raw, 'expiry_date') ?? null) : parseExpiry(textField(raw, 'expiry')),
    obtainedAt: null,
    scopes: scopesField(raw, 'scopes') ?? scopesField(raw, 'scope') ?? [],
    clientId: textField(raw, 'client_id') ?? null,
    clientSecret: secretField(raw, 'client_secret'),
    settings: { tokenEndpoint: textField(raw, 'token_uri') },
    raw,
  };
}

function parseServiceAccount(raw: JsonObject): AccountDocument {
  const email = textField(raw, 'client_email');
  const key = secretField(raw, 'private_key');
  if (email === undefined || key === null) throw new FieldError('a service account needs client_email and private_key');
  return {
    form: 'service-account',
    accessToken: null,
    refreshToken: null,
    tokenType: 'Bearer',
    expiresAt: null,
    obtainedAt: null,
    scopes: scopesField(raw, 'scopes') ?? [],
    clientId: email,
    clientSecret: key,
    settings: { tokenEndpoint: textField(raw, 'token_uri') },
    raw,
  };
}

function parseOauth(raw: JsonObject): AccountDocument {
  return {
    form: 'oauth',
    accessToken: secretField(raw, 'access_token'),
    refreshToken: secretField(raw, 'refresh_token'),
    tokenType: textField(raw, 'token_type') ?? 'Bearer',
    expiresAt: parseEpoch(raw, 'expires_at'),
    obtainedAt: parseEpoch(raw, 'obtained_at'),
    scopes: scopesField(raw, 'scopes') ?? scopesField(raw, 'scope') ?? [],
    clientId: textField(raw, 'client_id') ?? null,
    clientSecret: secretField(raw, 'client_secret'),
    settings: parseSettings(raw),
    raw,
  };
}

/** Reads client id and secret from Google's downloaded client file (`installed` or `web`) or from another account's file. @throws FieldError when it holds none. */
export function parseClient(text: string): { readonly clientId: string; readonly clientSecret: Secret | null } {
  const raw = parseJsonObject(text);
  const inner = raw['installed'] ?? raw['web'] ?? raw;
  const clientId = isJsonObject(inner) ? textField(inner, 'client_id') : undefined;
  if (!isJsonObject(inner) || clientId === undefined) throw new FieldError('it holds no client_id');
  return { clientId, clientSecret: secretField(inner, 'client_secret') };
}

/** Names the access token of a document, so that a change of it is seen. Is no secret. */
export function tokenTag(document: AccountDocument): string {
  return createHash('sha256')
    .update(document.accessToken?.reveal() ?? '')
    .digest('hex')
    .slice(0, 32);
}

/** Names what a refresh of this document would start from: when it changes, somebody else changed the account. Is no secret. */
export function accountBasis(document: AccountDocument): string {
  const source = document.refreshToken ?? document.clientSecret;
  return createHash('sha256')
    .update(`${document.form}\n${document.clientId ?? ''}\n${source?.reveal() ?? ''}`)
    .digest('hex')
    .slice(0, 32);
}

/** Prints a document with new tokens in it. `scopes` is kept from the file where the answer names none (RFC 6749 §5.1: then they are as asked for). */
export function printWithTokens(document: AccountDocument, tokens: GrantedTokens, now: number): string {
  const expiresAt = tokens.expiresIn === undefined ? undefined : now + tokens.expiresIn * 1000;
  const scopes = tokens.scopes ?? document.scopes;
  const next: Record<string, unknown> = { ...document.raw };
  const set = (name: string, value: unknown): void => {
    if (value === undefined) delete next[name];
    else next[name] = value;
  };
  if (tokens.refreshToken !== undefined) set('refresh_token', tokens.refreshToken.reveal());
  if (document.form === 'google-auth') {
    set('token', tokens.accessToken.reveal());
    set('expiry', expiresAt === undefined ? undefined : printExpiry(expiresAt));
    if (scopes.length > 0) set('scopes', scopes);
  } else if (document.form === 'google-node') {
    set('access_token', tokens.accessToken.reveal());
    set('expiry_date', expiresAt);
    if (scopes.length > 0) set('scope' in next ? 'scope' : 'scopes', 'scope' in next ? scopes.join(' ') : scopes);
  } else {
    set('access_token', tokens.accessToken.reveal());
    set('token_type', tokens.tokenType);
    set('expires_at', expiresAt === undefined ? undefined : Math.floor(expiresAt / 1000));
    set('obtained_at', Math.floor(now / 1000));
    if (scopes.length > 0) set('scopes', scopes);
  }
  return `${JSON.stringify(next, null, 2)}\n`;
}

/** Names the fields that hold tokens, or say something of one. */
const TOKEN_FIELDS = new Set([
  'token',
  'access_token',
  'refresh_token',
  'expiry',
  'expiry_date',
  'expires_at',
  'obtained_at',
]);

/** Returns a document without any token, as it is after a revocation and before a consent. Scopes stay, so that the next consent asks for the same. */
export function withoutTokens(document: AccountDocument): AccountDocument {
  const raw = Object.fromEntries(Object.entries(document.raw).filter(([name]) => !TOKEN_FIELDS.has(name)));
  return { ...document, accessToken: null, refreshToken: null, expiresAt: null, obtainedAt: null, raw };
}

/** Prints a document as it is. */
export function printDocument(document: AccountDocument): string {
  return `${JSON.stringify(document.raw, null, 2)}\n`;
}

/** Makes the document of an account that has no file yet; google-auth for Python needs the client in it. */
export function emptyDocument(
  google: boolean,
  client: { readonly clientId: string; readonly clientSecret: Secret | null },
  tokenEndpoint: string | undefined,
): AccountDocument {
  const raw = google
    ? {
        token_uri: tokenEndpoint ?? 'https://oauth2.googleapis.com/token',
        client_id: client.clientId,
        client_secret: client.clientSecret?.reveal() ?? '',
        universe_domain: 'googleapis.com',
        account: '',
      }
    : {};
  return google ? parseGoogle(raw) : parseOauth(raw);
}

/** Parses google-auth's expiry: UTC, ISO 8601, with a trailing Z or without. */
function parseExpiry(text: string | undefined): number | null {
  if (text === undefined) return null;
  const iso = /(?:Z|[+-]\d\d:?\d\d)$/.test(text) ? text : `${text}Z`;
  const time = Date.parse(iso);
  if (Number.isNaN(time)) throw new FieldError('"expiry" must be a time such as 2026-01-31T12:00:00Z');
  return time;
}

/** Prints an expiry as google-auth for Python parses it: whole seconds, trailing Z. */
function printExpiry(time: number): string {
  return new Date(time).toISOString().replace(/\.\d{3}Z$/, 'Z');
}

function parseEpoch(raw: JsonObject, name: string): number | null {
  if (typeof raw[name] === 'string') {
    const time = Date.parse(raw[name]);
    if (!Number.isNaN(time)) return time;
  }
  const value = epochField(raw, name);
  if (value === undefined) return null;
  return value < SECONDS_BELOW ? value * 1000 : value;
}

function secretField(raw: JsonObject, name: string): Secret | null {
  const value = textField(raw, name);
  return value === undefined ? null : new Secret(value);
}
