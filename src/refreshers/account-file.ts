/**
 * Account files: the forms that other programs write, how they are read, and how new tokens are
 * written into them.
 *
 * Forms: google-auth for Python, `authorized_user` of Google's libraries, the token files of
 * googleapis' and Go's quickstarts, Google's service-account key, and our own `oauth/<name>.json`.
 * Fields that nobody here knows survive a rewrite, in their place. Reading never fails on a field:
 * a wrong one counts as absent. The daemon reports it beforehand, by the schema in
 * account-schema.ts; workers read without that schema, so that they need not load its library.
 */

import { stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { foregroundClock } from '../base/clock.ts';
import { tryFileLock, type FileLock } from '../base/file-lock.ts';
import { readFileSignature } from '../base/file-signature.ts';
import { isRecord, parseJson, readNumber, readString, type JsonObject } from '../base/json.ts';
import { Secret } from '../base/secret.ts';
import { splitList } from '../base/split-list.ts';
import { delay } from '../base/timers.ts';
import type { Warning } from '../base/warning.ts';
import { readSecretFile } from '../credentials/secret-file.ts';
import { tokenTag } from '../protocol/token-tag.ts';
import { GOOGLE, providerOf } from './account-name.ts';
import { explainFile } from './messages.ts';
import {
  CLIENT_AUTHENTICATIONS,
  isSafeEndpoint,
  type ClientAuthentication,
  type ExtraParams,
  type ProviderSettings,
} from './provider-presets.ts';

type AccountForm = 'google-auth' | 'google-node' | 'service-account' | 'oauth';

/** Parsed account file. Times are epoch milliseconds. */
export interface AccountFile {
  readonly form: AccountForm;
  readonly accessToken: Secret | null;
  readonly refreshToken: Secret | null;
  readonly tokenType: string;
  readonly expiresAt: number | null;
  /** Whether only the file's time dates the end: a copied file has a new one. */
  readonly isGuessed: boolean;
  /** Time when the access token was obtained, where the file has it. */
  readonly obtainedAt: number | null;
  /** Time when the refresh token ends, where the provider announced it. */
  readonly refreshExpiresAt: number | null;
  /** Scopes of the access token, or those to ask for where there was no consent yet. */
  readonly scopes: readonly string[];
  /** Scopes that the last consent asked for; more than `scopes` where the provider granted less. */
  readonly requestedScopes: readonly string[];
  /** OAuth client of the file's own; for a service account its address and key. */
  readonly client: ClientIdentity | null;
  readonly settings: ProviderSettings;
  /** Whole document, for a rewrite. */
  readonly raw: JsonObject;
}

/** Tokens as a provider granted them; what is absent was not in the answer. */
export interface GrantedTokens {
  readonly accessToken: Secret;
  readonly refreshToken?: Secret;
  /** Lifetime of the access token, in seconds. */
  readonly expiresIn?: number;
  /** Lifetime of the refresh token, in seconds; null for one that does not end, by the provider. */
  readonly refreshExpiresIn?: number | null;
  readonly scopes?: readonly string[];
}

/** OAuth client as a file has it. */
export interface ClientIdentity {
  readonly clientId: string;
  readonly clientSecret: Secret | null;
  /** Private key of a client that signs (RFC 7523): PEM, or a JWK as JSON. */
  readonly privateKey: Secret | null;
}

/** Result of reading an account file. */
export type AccountReading =
  | { readonly kind: 'read'; readonly account: AccountFile }
  | { readonly kind: 'missing' }
  /** `unsafe`: others could have changed it. */
  | {
      readonly kind: 'unusable';
      readonly unsafe: boolean;
      readonly unsupported: boolean;
      readonly warning: Warning;
    };

/**
 * Boundary of epoch seconds and milliseconds; some write the year 9999, in seconds, for "never".
 */
const SECONDS_BELOW = 9e11;

/** Boundaries towards micro- and nanoseconds, chosen in the same way. */
const MILLISECONDS_BELOW = 9e14;
const MICROSECONDS_BELOW = 9e17;

/** Longest text that is read as a time, in characters. */
const MAX_TIME_LENGTH = 100;

/** Fields that can hold each part of a token set, best first. */
export const ACCESS_FIELDS = ['access_token', 'token', 'accessToken', 'oauth_token'];
export const REFRESH_FIELDS = ['refresh_token', 'refreshToken'];
const EXPIRY_FIELDS = [
  'expires_at',
  'expiry',
  'expiry_date',
  'token_expiry',
  'expiresAt',
  'expires_on',
  'expiryDate',
  'expires',
  'expiration',
  'expiration_time',
  'access_token_expires_at',
  'token_expires_at',
  '.expires',
];

/** Fields that can hold the client's id and secret, best first. */
export const CLIENT_ID_FIELDS = ['client_id', 'clientId'];
export const CLIENT_SECRET_FIELDS = ['client_secret', 'clientSecret'];

/** Kinds of Google's credential files that cannot be accounts. */
const UNSUPPORTED_TYPES = new Set([
  'impersonated_service_account',
  'external_account',
  'external_account_authorized_user',
  'gdch_service_account',
]);

/**
 * Reads an account file; `check`, the daemon's schema, returns a problem of the document, or null.
 */
export async function readAccountFile(
  name: string,
  path: string,
  check: (raw: JsonObject, google: boolean) => string | null = () => null,
): Promise<AccountReading> {
  const outcome = await readSecretFile(path);
  if (outcome.kind === 'missing') return outcome;
  const unusable = (problem: string, unsupported = false): AccountReading => {
    return { kind: 'unusable', unsafe: false, unsupported, warning: explainFile(name, path, problem) };
  };
  if (outcome.kind !== 'read') {
    const [warning = explainFile(name, path, 'cannot be used')] = outcome.warnings;
    return { kind: 'unusable', unsafe: outcome.kind === 'refused', unsupported: false, warning };
  }
  const google = providerOf(name) === GOOGLE;
  const raw = parseJson(outcome.text);
  if (raw === undefined) return unusable('it is not valid JSON (cut off, or edited by hand)');
  if (!isRecord(raw)) return unusable('it is not a JSON object');
  const foreign = foreignKind(raw, google);
  if (foreign !== undefined) return unusable(foreign, true);
  const problem = (google ? googleProblem(raw) : null) ?? check(raw, google);
  if (problem !== null) return unusable(problem);
  return { kind: 'read', account: parseAccountFile(raw, google, await fileTime(path)) };
}

/** Returns why a document of a known kind cannot be an account, or undefined. */
function foreignKind(raw: JsonObject, google: boolean): string | undefined {
  const type = readString(raw, 'type');
  if (google && type !== undefined && UNSUPPORTED_TYPES.has(type)) {
    return `a file of type "${type}" is not supported; use an authorized_user file or a service account key`;
  }
  const isMsal = isRecord(raw['AccessToken']) && isRecord(raw['RefreshToken']) && isRecord(raw['Account']);
  return isMsal ? 'a token cache of MSAL, which can hold many accounts, is not supported' : undefined;
}

/** Returns why a document cannot be an account at Google, or null. */
function googleProblem(raw: JsonObject): string | null {
  if ('installed' in raw || 'web' in raw) return 'it is a client file; save it as google_client_secret.json instead';
  const needed = readString(raw, 'type') === 'service_account' ? ['client_email', 'private_key'] : [];
  if (needed.every((field) => firstText([raw], [field]) !== null)) return null;
  return 'a service account needs client_email and private_key';
}

async function fileTime(path: string): Promise<number | null> {
  try {
    return Math.floor((await stat(path)).mtimeMs);
  } catch {
    return null;
  }
}

/** Returns a signature of an account's files, which changes with their content, mode or owner. */
export async function accountSignature(files: {
  readonly file: string;
  readonly clientFile: string | null;
}): Promise<string> {
  const own = await readFileSignature(files.file);
  return files.clientFile === null ? own : `${own}, ${await readFileSignature(files.clientFile)}`;
}

/** Reads the OAuth client: the account's own, else that of its client file. */
export async function readClient(
  account: AccountFile | null,
  clientFile: string | null,
): Promise<ClientIdentity | undefined> {
  if (account !== null && account.client !== null) return account.client;
  if (clientFile === null) return undefined;
  const outcome = await readSecretFile(clientFile);
  return outcome.kind === 'read' ? parseClient(outcome.text) : undefined;
}

/**
 * Parses the client in Google's client file (`installed` or `web`) or in another account's file.
 */
export function parseClient(text: string): ClientIdentity | undefined {
  const raw = parseJson(text);
  const inner = isRecord(raw) ? (raw['installed'] ?? raw['web'] ?? raw) : undefined;
  return isRecord(inner) ? (clientOf([inner], inner['private_key']) ?? undefined) : undefined;
}

function clientOf(sources: readonly JsonObject[], key: unknown): ClientIdentity | null {
  const clientId = firstText(sources, CLIENT_ID_FIELDS);
  if (clientId === null) return null;
  const privateKey = isRecord(key) ? JSON.stringify(key) : typeof key === 'string' ? key : '';
  return {
    clientId,
    clientSecret: firstSecret(sources, CLIENT_SECRET_FIELDS),
    privateKey: privateKey === '' ? null : new Secret(privateKey),
  };
}

/** Parses a document; `savedAt` dates an `expires_in` that nothing else dates. */
export function parseAccountFile(raw: JsonObject, google: boolean, savedAt: number | null = null): AccountFile {
  const { fields: tokens } = writableCopy(raw);
  const both = [tokens, raw];
  const form = formOf(raw, tokens, google);
  const isService = form === 'service-account';
  const accessToken = isService ? null : firstSecret([tokens], ACCESS_FIELDS);
  const obtainedAt = parseTime(tokens['obtained_at'], true) ?? null;
  const scopes = scopesField(tokens) ?? scopesField(raw) ?? [];
  const type = google ? null : firstText([tokens], ['token_type']);
  return {
    form,
    accessToken,
    refreshToken: isService ? null : firstSecret(both, REFRESH_FIELDS),
    tokenType: type === null || /^bearer$/i.test(type) ? 'Bearer' : type,
    ...lifeOf(tokens, form, accessToken, obtainedAt, savedAt),
    refreshExpiresAt:
      parseTime(tokens['refresh_token_expires_at']) ?? parseTime(raw['refresh_token_expires_at']) ?? null,
    scopes,
    requestedScopes: listField(raw['requested_scopes']) ?? scopes,
    client: isService
      ? {
          clientId: firstText([raw], ['client_email']) ?? '',
          clientSecret: firstSecret([raw], ['private_key']),
          privateKey: null,
        }
      : clientOf([raw, tokens], google ? undefined : raw['private_key']),
    settings: google
      ? { tokenEndpoint: endpointField(raw, 'token_uri') ?? endpointField(tokens, 'token_uri') }
      : parseSettings(raw),
    raw,
  };
}

function formOf(raw: JsonObject, tokens: JsonObject, google: boolean): AccountForm {
  if (!google) return 'oauth';
  if (readString(raw, 'type') === 'service_account') return 'service-account';
  return 'access_token' in tokens || 'expiry_date' in raw ? 'google-node' : 'google-auth';
}

function hasTokens(value: JsonObject): boolean {
  return firstText([value], [...ACCESS_FIELDS, ...REFRESH_FIELDS]) !== null;
}

/** Returns the name of the only object in a document that holds tokens (`{"token": {…}}`). */
function tokenContainer(raw: JsonObject): string | null {
  if (hasTokens(raw)) return null;
  const [first, ...more] = Object.entries(raw).filter(([, value]) => isRecord(value) && hasTokens(value));
  return first === undefined || more.length > 0 ? null : first[0];
}

/** Returns when a token ends and began: by an end, a lifetime, or the token's own claim. */
function lifeOf(
  tokens: JsonObject,
  form: AccountForm,
  accessToken: Secret | null,
  obtainedAt: number | null,
  savedAt: number | null,
): Pick<AccountFile, 'expiresAt' | 'obtainedAt' | 'isGuessed'> {
  const own = form === 'google-auth' ? ['expiry'] : form === 'google-node' ? ['expiry_date'] : [];
  for (const name of [...own, ...EXPIRY_FIELDS]) {
    const expiresAt = parseTime(tokens[name]);
    if (expiresAt !== undefined) return { expiresAt, obtainedAt, isGuessed: false };
  }
  const lifetimeS = toNumber(tokens['expires_in'] ?? tokens['expiresIn']);
  const since = obtainedAt ?? savedAt;
  if (lifetimeS !== undefined && since !== null) {
    return { expiresAt: since + lifetimeS * 1000, obtainedAt: since, isGuessed: obtainedAt === null };
  }
  const claimed = accessToken === null ? undefined : jwtTimes(accessToken.reveal());
  if (claimed === undefined) return { expiresAt: null, obtainedAt, isGuessed: false };
  return { expiresAt: claimed.expiresAt, obtainedAt: obtainedAt ?? claimed.obtainedAt, isGuessed: false };
}

/** Returns the end and the beginning that a JSON Web Token claims, unverified. */
export function jwtTimes(
  token: string,
): { readonly expiresAt: number; readonly obtainedAt: number | null } | undefined {
  const [, payload, , ...more] = token.split('.');
  if (payload === undefined || more.length > 0 || token.split('.').length !== 3) return undefined;
  const claims = parseJson(Buffer.from(payload, 'base64url').toString('utf8'));
  const expiresAt = readNumber(claims, 'exp');
  const issuedAt = readNumber(claims, 'iat');
  if (expiresAt === undefined || expiresAt <= 0) return undefined;
  return { expiresAt: expiresAt * 1000, obtainedAt: issuedAt === undefined ? null : issuedAt * 1000 };
}

/**
 * Parses a time in any form that account files have. A number, or digits, is seconds, milliseconds,
 * microseconds or nanoseconds since 1970. ISO 8601 is read as UTC where it has no zone. The formats
 * of HTTP, JavaScript, .NET (`/Date(…)/`), Go, Java, PostgreSQL and C are read, too.
 */
export function parseTime(value: unknown, mayBeBefore1970 = false): number | undefined {
  const number = toNumber(value);
  if (number !== undefined) return number <= 0 && !mayBeBefore1970 ? undefined : Math.floor(number * unitOf(number));
  if (typeof value !== 'string' || value.length > MAX_TIME_LENGTH) return undefined;
  const dotNet = /^\/Date\((\d{1,15})(?:[+-]\d{4})?\)\/$/.exec(value)?.[1];
  if (dotNet !== undefined) return Number(dotNet);
  const time = Date.parse(isoTime(value.trim()) ?? spelledTime(value.trim()) ?? '');
  // Go writes the year 1 for a time that is not known.
  return Number.isNaN(time) || time <= 0 ? undefined : time;
}

/** Matches ISO 8601, extended or basic: date, time, zone, and what Go and Java write behind it. */
const ISO_TIME =
  /^(\d{4})-?(\d\d)-?(\d\d)(?:[Tt ](\d\d):?(\d\d)(?::?(\d\d)(?:[.,](\d+))?)?)? ?(?:([Zz])|(?:UTC|GMT)|([+-]\d\d)(?::?(\d\d))?)?(?: [A-Z]{3,5}| [+-]\d\d| m=\S+|\[[\w/+-]+\])*$/;

function isoTime(value: string): string | undefined {
  const match = ISO_TIME.exec(value);
  if (match === null) return undefined;
  const [, year, month, day, hour = '00', minute = '00', second = '00', fraction = '0', , zone, minutes = '00'] = match;
  const offset = zone === undefined ? 'Z' : `${zone}:${minutes}`;
  return `${year}-${month}-${day}T${hour}:${minute}:${second}.${fraction.slice(0, 3)}${offset}`;
}

/** Reads a time with a month's name; without a zone it is in UTC. */
function spelledTime(value: string): string | undefined {
  if (!/^(?:[A-Z][a-z]{2},? )?(?:\d{1,2} [A-Z][a-z]{2}|[A-Z][a-z]{2} +\d{1,2})\b.*\d\d:\d\d/.test(value))
    return undefined;
  return /\b(?:GMT|UTC)\b|[+-]\d{4}\b/.test(value) ? value : `${value} UTC`;
}

/** Returns how many milliseconds one unit of a time is, by the time's size. */
function unitOf(time: number): number {
  if (time < SECONDS_BELOW) return 1000;
  if (time < MILLISECONDS_BELOW) return 1;
  return time < MICROSECONDS_BELOW ? 1e-3 : 1e-6;
}

function toNumber(value: unknown): number | undefined {
  const number =
    typeof value === 'string' && /^-?\d+(?:\.\d+)?(?:[eE]\+?\d+)?$/.test(value.trim()) ? Number(value) : value;
  return typeof number === 'number' && Number.isFinite(number) ? number : undefined;
}

/** Reads the provider's settings, by the names of RFC 8414 and RFC 7591. */
function parseSettings(raw: JsonObject): ProviderSettings {
  const method = readString(raw, 'token_endpoint_auth_method');
  return {
    issuer: endpointField(raw, 'issuer'),
    authorizationEndpoint: endpointField(raw, 'authorization_endpoint'),
    tokenEndpoint: endpointField(raw, 'token_endpoint'),
    deviceEndpoint: endpointField(raw, 'device_authorization_endpoint') ?? endpointField(raw, 'device_endpoint'),
    revocationEndpoint: endpointField(raw, 'revocation_endpoint'),
    clientAuthentication: isAuthentication(method) ? method : undefined,
    clientSigningAlgorithm: readString(raw, 'token_endpoint_auth_signing_alg'),
    redirectUri: firstText([raw], ['redirect_uri']) ?? undefined,
    scopes: scopesField(raw),
    authorizationParams: paramsField(raw['authorization_params']),
    tokenParams: paramsField(raw['token_params']),
    commonParams: paramsField({ audience: raw['audience'], resource: raw['resource'] }),
    clientCredentials: readString(raw, 'grant_type') === 'client_credentials' ? true : undefined,
  };
}

function isAuthentication(value: string | undefined): value is ClientAuthentication {
  return CLIENT_AUTHENTICATIONS.some((method) => method === value);
}

function paramsField(value: unknown): ExtraParams | undefined {
  if (!isRecord(value)) return undefined;
  const params: Record<string, string | readonly string[]> = {};
  for (const [name, entry] of Object.entries(value)) {
    if (typeof entry === 'string' && entry !== '') params[name] = entry;
    else if (Array.isArray(entry)) params[name] = entry.filter((one): one is string => typeof one === 'string');
  }
  return Object.keys(params).length === 0 ? undefined : params;
}

function endpointField(raw: JsonObject, name: string): string | undefined {
  const value = readString(raw, name);
  return value !== undefined && isSafeEndpoint(value) ? value : undefined;
}

function firstText(sources: readonly JsonObject[], names: readonly string[]): string | null {
  for (const source of sources) {
    for (const name of names) {
      const value = readString(source, name) ?? '';
      if (value !== '') return value;
    }
  }
  return null;
}

function firstSecret(sources: readonly JsonObject[], names: readonly string[]): Secret | null {
  const value = firstText(sources, names);
  return value === null ? null : new Secret(value);
}

function scopesField(raw: JsonObject): readonly string[] | undefined {
  return listField(raw['scopes']) ?? listField(raw['scope']);
}

function listField(value: unknown): readonly string[] | undefined {
  if (typeof value === 'string') return splitList(value);
  if (!Array.isArray(value)) return undefined;
  return value.filter((scope): scope is string => typeof scope === 'string' && scope !== '');
}

/** Returns the address of the MCP server that an account's file belongs to, or undefined. */
export function mcpServerOf(account: AccountFile | null): string | undefined {
  return readString(account?.raw, 'mcp_server');
}

export function accessTag(account: AccountFile): string {
  return tokenTag(account.accessToken?.reveal() ?? '');
}

/** Returns a tag of what a refresh starts from; a different one means that somebody changed it. */
export function accountBasis(account: AccountFile): string {
  const { form, refreshToken, client } = account;
  const source = refreshToken ?? client?.clientSecret ?? client?.privateKey;
  return tokenTag(`${form}\n${client?.clientId ?? ''}\n${source?.reveal() ?? ''}`);
}

/** Returns how long the token of a file was granted for, in milliseconds. */
function grantedLifetime({ expiresAt, obtainedAt }: AccountFile): number | undefined {
  return expiresAt === null || obtainedAt === null || expiresAt <= obtainedAt ? undefined : expiresAt - obtainedAt;
}

/** Returns a copy of a document, and the object in it that holds the tokens, for a rewrite. */
function writableCopy(raw: JsonObject): Record<'document' | 'fields', Record<string, unknown>> {
  const container = tokenContainer(raw);
  if (container === null) {
    const document = { ...raw };
    return { document, fields: document };
  }
  const inner = raw[container];
  const fields = isRecord(inner) ? { ...inner } : {};
  return { document: { ...raw, [container]: fields }, fields };
}

/**
 * Formats a file with new tokens in it, in the fields that the file already uses.
 *
 * An answer without a lifetime gets that of the token before. Scopes are kept where the answer has
 * none (RFC 6749 §5.1: then they are as asked for). Where it has fewer, those that were asked for
 * are kept beside them.
 */
export function formatWithTokens(account: AccountFile, tokens: GrantedTokens, now: number): string {
  const lifetimeMs = tokens.expiresIn === undefined ? grantedLifetime(account) : tokens.expiresIn * 1000;
  const expiresAt = lifetimeMs === undefined ? undefined : now + lifetimeMs;
  const { document, fields } = writableCopy(account.raw);
  const set = (name: string, value: unknown): void => {
    if (value === undefined) delete fields[name];
    else fields[name] = value;
  };
  const fieldOf = (names: readonly string[], usual: string): string => names.find((name) => name in fields) ?? usual;
  const accessFields = account.form === 'google-auth' ? ['token', ...ACCESS_FIELDS] : ACCESS_FIELDS;
  set(fieldOf(accessFields, account.form === 'google-auth' ? 'token' : 'access_token'), tokens.accessToken.reveal());
  if (tokens.refreshToken !== undefined) set(fieldOf(REFRESH_FIELDS, 'refresh_token'), tokens.refreshToken.reveal());

  const usualExpiry = {
    'google-auth': 'expiry',
    'google-node': 'expiry_date',
    'service-account': 'expiry',
    oauth: 'expires_at',
  };
  const used = EXPIRY_FIELDS.filter((name) => name in fields);
  for (const name of used.length > 0 ? used : [usualExpiry[account.form]]) {
    set(name, expiresAt === undefined ? undefined : formatTime(name, fields[name], expiresAt));
  }
  for (const name of ['expires_in', 'expiresIn']) {
    if (name in fields) set(name, lifetimeMs === undefined ? undefined : Math.round(lifetimeMs / 1000));
  }
  if (account.form === 'oauth' && fields === document) set('token_type', 'Bearer');
  if (account.form === 'oauth' || 'obtained_at' in fields) set('obtained_at', Math.floor(now / 1000));
  const refreshEnd = refreshExpiry(account, tokens, now);
  set('refresh_token_expires_at', refreshEnd === null ? undefined : Math.floor(refreshEnd / 1000));

  const scopes = tokens.scopes ?? account.scopes;
  const scopeField = fieldOf(['scopes', 'scope'], 'scopes');
  if (scopes.length > 0) set(scopeField, typeof fields[scopeField] === 'string' ? scopes.join(' ') : scopes);
  const isNarrower = account.requestedScopes.some((scope) => !scopes.includes(scope));
  if ('requested_scopes' in document || isNarrower) document['requested_scopes'] = account.requestedScopes;
  if (account.form !== 'oauth' && canBeAuthorizedUser(document)) document['type'] ??= 'authorized_user';
  return print(document);
}

/** Formats a file whose refresh token was replaced, but not its access token. */
export function formatWithRefreshToken(account: AccountFile, refreshToken: Secret): string {
  const { document, fields } = writableCopy(account.raw);
  fields[REFRESH_FIELDS.find((name) => name in fields) ?? 'refresh_token'] = refreshToken.reveal();
  return print(document);
}

/** Google's libraries read a file by its type, and refuse one that lacks these fields. */
function canBeAuthorizedUser(document: Readonly<Record<string, unknown>>): boolean {
  return ['client_id', 'client_secret', 'refresh_token'].every((name) => typeof document[name] === 'string');
}

/** Returns when the refresh token ends: as answered, as before, or by its own claim. */
function refreshExpiry(account: AccountFile, tokens: GrantedTokens, now: number): number | null {
  if (tokens.refreshExpiresIn === null) return null;
  if (tokens.refreshExpiresIn !== undefined) return now + tokens.refreshExpiresIn * 1000;
  const isRotated = tokens.refreshToken !== undefined && account.refreshToken?.equals(tokens.refreshToken) !== true;
  if (!isRotated) return account.refreshExpiresAt;
  return jwtTimes(tokens.refreshToken?.reveal() ?? '')?.expiresAt ?? null;
}

/** Formats a time as the field has it: in ISO 8601, whole seconds, or as a number in its unit. */
function formatTime(name: string, before: unknown, time: number): string | number {
  const iso = new Date(time).toISOString().replace(/\.\d{3}Z$/, 'Z');
  const digits = toNumber(before);
  const isText = typeof before === 'string';
  if ((isText && digits === undefined) || (before === undefined && (name === 'expiry' || name === 'token_expiry')))
    return iso;
  // Node's libraries read milliseconds there, whatever was written before.
  const isMilliseconds = ['expiry_date', 'expiryDate', 'expiresAt'].includes(name);
  const value = Math.floor(time / (isMilliseconds ? 1 : unitOf(digits ?? 0)));
  return isText ? String(value) : value;
}

/** Fields that hold tokens, or belong to one. */
const TOKEN_FIELDS = [
  ...ACCESS_FIELDS,
  ...REFRESH_FIELDS,
  ...EXPIRY_FIELDS,
  'expires_in',
  'expiresIn',
  'obtained_at',
  'refresh_token_expires_at',
];

/** Returns a file without tokens. Scopes stay, so that the next consent asks for the same. */
export function withoutTokens(account: AccountFile): AccountFile {
  const { document: raw, fields } = writableCopy(account.raw);
  for (const name of TOKEN_FIELDS) delete fields[name];
  return {
    ...account,
    accessToken: null,
    refreshToken: null,
    expiresAt: null,
    obtainedAt: null,
    refreshExpiresAt: null,
    raw,
  };
}

export function formatAccountFile({ raw }: AccountFile): string {
  return print(raw);
}

function print(document: JsonObject): string {
  return `${JSON.stringify(document, null, 2)}\n`;
}

/** Makes the file of an account that has none yet; Google's libraries need the client in it. */
export function emptyAccountFile(google: boolean, client: ClientIdentity, tokenEndpoint?: string): AccountFile {
  const raw = google
    ? {
        type: 'authorized_user',
        token_uri: tokenEndpoint,
        client_id: client.clientId,
        client_secret: client.clientSecret?.reveal() ?? '',
        universe_domain: 'googleapis.com',
        account: '',
      }
    : {};
  return parseAccountFile(raw, google);
}

/** Interval between two attempts on a held lock, in milliseconds. */
const POLL_MS = 50;

/**
 * Takes the lock of an account's file as soon as it is free; returns undefined when a living
 * process still holds it after `waitMs`. Whoever asks a provider for tokens of the account holds
 * it. So a daemon that was killed and started again does not send a refresh token that the worker
 * of its predecessor has used up.
 *
 * @throws the system's error where the folder cannot be written.
 */
export async function lockAccount(file: string, waitMs: number): Promise<FileLock | undefined> {
  const deadline = foregroundClock.monotonic() + waitMs;
  for (;;) {
    const outcome = await tryFileLock(join(dirname(file), `.${basename(file)}.lock`));
    if (outcome.kind === 'taken') return outcome.lock;
    if (foregroundClock.monotonic() >= deadline) return undefined;
    await delay(foregroundClock, POLL_MS);
  }
}
