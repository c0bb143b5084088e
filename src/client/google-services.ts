/**
 * Services of Google's googleapis package whose tokens come from the daemon. Owns that package, an
 * optional peer dependency that is loaded at the first use.
 *
 * The program never holds a refresh token: before each request the service asks the daemon, which
 * answers from memory. A token that the API refuses is reported to the daemon, and the request is
 * repeated once with another.
 */

import { AipassError } from '../base/errors.ts';
import { readField } from '../base/json.ts';
import type { TokenValue } from '../protocol/oauth.ts';
import type { TokenSource } from './account-fetch.ts';
import { hasMethods, statusOf } from './answer-fields.ts';

/** Which account a service works for, and with what. */
export interface GoogleOptions {
  /** The account; `google` without it. */
  readonly account?: string | undefined;
  /** Scopes that the token must have; without them the token must fit the service. */
  readonly scopes?: readonly string[] | undefined;
  /** Options for googleapis (`rootUrl`, `timeout`, …). */
  readonly options?: Readonly<Record<string, unknown>> | undefined;
}

/** The part of a module of googleapis that is used here. */
interface ServiceModule {
  readonly VERSIONS: Readonly<Record<string, unknown>>;
  readonly auth: { readonly OAuth2: new (options: object) => LibraryAuth };
}

/** The part of google-auth-library's OAuth2Client that is used here. */
interface LibraryAuth {
  refreshHandler?: () => Promise<{ readonly access_token: string; readonly expiry_date: number }>;
  request: (options: LibraryRequest) => Promise<unknown>;
}

/** Request of google-auth-library; its headers are set while it is sent. */
interface LibraryRequest {
  readonly headers?: unknown;
  readonly data?: unknown;
  readonly body?: unknown;
}

/** Matches names of services and versions: they become part of a module's path. */
const SERVICE = /^[a-z][A-Za-z0-9_]{0,63}$/;

/**
 * Scopes that fit a service, for those that people mix up, and the one to ask for where a token has
 * none of them. A Drive token is never used for Calendar
 * (developers.google.com/identity/protocols/oauth2/scopes).
 */
const FITTING: Readonly<Record<string, { readonly pattern: RegExp; readonly usual: string }>> = {
  calendar: { pattern: /\/auth\/calendar(?:\.|$)/, usual: 'calendar' },
  docs: { pattern: /\/auth\/(?:documents|drive)(?:\.|$)/, usual: 'documents' },
  drive: { pattern: /\/auth\/drive(?:\.|$)/, usual: 'drive' },
  gmail: { pattern: /\/auth\/gmail\.|^https:\/\/mail\.google\.com\//, usual: 'gmail.modify' },
  people: { pattern: /\/auth\/(?:contacts|directory|userinfo|user)(?:\.|$)/, usual: 'contacts' },
  sheets: { pattern: /\/auth\/(?:spreadsheets|drive)(?:\.|$)/, usual: 'spreadsheets' },
  slides: { pattern: /\/auth\/(?:presentations|drive)(?:\.|$)/, usual: 'presentations' },
  tasks: { pattern: /\/auth\/tasks(?:\.|$)/, usual: 'tasks' },
  youtube: { pattern: /\/auth\/youtube(?:\.|$)/, usual: 'youtube' },
};

/** Validity that a token must have for one request, in seconds. */
const MIN_VALID_S = 60;

/** Opens a service of googleapis; see Aipass.google. @throws AipassError NOT_FOUND. */
export async function openGoogleService(
  source: TokenSource,
  service: string,
  version: string | undefined,
  { account = 'google', scopes, options = {} }: GoogleOptions,
): Promise<unknown> {
  const module = await loadService(service);
  const chosen = version ?? newestVersion(Object.keys(module.VERSIONS));
  const Api = chosen === undefined ? undefined : module.VERSIONS[chosen];
  if (typeof Api !== 'function') {
    throw new AipassError('NOT_FOUND', `googleapis has no version ${String(chosen)} of ${service}`, {
      hint: `its versions are: ${Object.keys(module.VERSIONS).join(', ')}`,
    });
  }
  const getToken = async (refused?: string): Promise<TokenValue> => {
    const token = await source.token(account, { minValidSeconds: MIN_VALID_S, scopes, refused });
    const wanted = scopes === undefined ? missingScope(service, token.scopes) : undefined;
    // The daemon knows all that was asked for, and refuses with a command that asks for all of it
    // again.
    return wanted === undefined ? token : await source.token(account, { scopes: [wanted] });
  };
  // An infinite threshold makes every token "about to expire", so that the daemon is asked each
  // time.
  const auth = new module.auth.OAuth2({ eagerRefreshThresholdMillis: Number.MAX_SAFE_INTEGER });
  auth.refreshHandler = async () => {
    const token = await getToken();
    return { access_token: token.accessToken, expiry_date: token.expiresAt ?? Number.MAX_SAFE_INTEGER };
  };
  const send = auth.request.bind(auth);
  auth.request = async (request) => {
    try {
      return await send(request);
    } catch (error) {
      const refused = refusedToken(error, request);
      if (refused === undefined || (await getToken(refused)).accessToken === refused) throw error;
      return await send(request);
    }
  };
  return Reflect.construct(Api, [{ ...options, auth }]);
}

/** Loads one service. The package's own entry loads all of its 340, in 2 s and 121 MB. */
async function loadService(service: string): Promise<ServiceModule> {
  const found = SERVICE.test(service) ? await importService(service) : undefined;
  if (found !== undefined) return found;
  const isInstalled = (await importService('drive')) !== undefined;
  if (!isInstalled) {
    throw new AipassError('NOT_FOUND', 'the package googleapis is not installed here', {
      hint: 'npm install googleapis',
    });
  }
  throw new AipassError('NOT_FOUND', `googleapis has no service "${service}"`, {
    hint: 'see https://github.com/googleapis/google-api-nodejs-client for the names',
  });
}

async function importService(service: string): Promise<ServiceModule | undefined> {
  // Not a literal, so that a bundler leaves it to the program's own node_modules.
  const path = `googleapis/build/src/apis/${service}/index.js`;
  let imported: Readonly<Record<string, unknown>>;
  try {
    imported = await import(path);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
  // The package is CommonJS: its exports are those of the default, and not all of them are named.
  return (imported['default'] ?? imported) as unknown as ServiceModule;
}

/** Returns whether a module is not there, by the messages of Node, Bun, Deno and bundlers. */
function isMissing(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return /googleapis/.test(error.message) && /cannot find|could not (?:find|resolve)|not found/i.test(error.message);
}

/** Returns the token of a request that got 401 and can be sent again, or undefined. */
function refusedToken(error: unknown, { headers, data, body }: LibraryRequest): string | undefined {
  // A stream was read, and cannot be sent again.
  if (statusOf(error) !== 401 || hasMethods(data, 'pipe') || hasMethods(body, 'pipe')) return undefined;
  const authorization = headers instanceof Headers ? headers.get('authorization') : readField(headers, 'authorization');
  const [, token] = /^Bearer (\S+)$/.exec(String(authorization)) ?? [];
  return token;
}

/** Chooses the highest stable version, else the highest of all. */
function newestVersion(versions: readonly string[]): string | undefined {
  const stable = versions.filter((version) => /^v\d+(?:\.\d+)?$/.test(version));
  return (stable.length > 0 ? stable : versions).toSorted((a, b) => versionNumber(b) - versionNumber(a))[0];
}

function versionNumber(version: string): number {
  return Number(/\d+(?:\.\d+)?/.exec(version)?.[0] ?? 0);
}

/** Returns the scope to ask for where none of a token's scopes fits a service, or undefined. */
function missingScope(service: string, scopes: readonly string[]): string | undefined {
  const fitting = Object.hasOwn(FITTING, service) ? FITTING[service] : undefined;
  if (fitting === undefined || scopes.length === 0) return undefined;
  return scopes.some((scope) => fitting.pattern.test(scope)) ? undefined : fitting.usual;
}
