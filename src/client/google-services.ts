/**
 * Services of Google's googleapis package whose tokens come from the daemon. Owns that package, an optional peer
 * dependency that is loaded at the first use, and of it only the one service that is asked for.
 *
 * The program never holds a refresh token: before each request the service asks the daemon, which answers from memory. A
 * request whose token the API refuses (401) is repeated once, with the token that the daemon has renewed for it.
 */

import { createRequire } from 'node:module';
import { Readable } from 'node:stream';
import { AipassError } from '../base/errors.ts';
import { isRecord, readField } from '../base/json.ts';
import type { TokenValue } from '../protocol/oauth.ts';

/** Says which account a service works for, and with what. */
export interface GoogleOptions {
  /** Is the account; `google` without it. */
  readonly account?: string | undefined;
  /** Are the scopes that the token must have; without them the token must fit the service. */
  readonly scopes?: readonly string[] | undefined;
  /** Is passed on to googleapis (`rootUrl`, `timeout`, …). */
  readonly options?: Readonly<Record<string, unknown>> | undefined;
}

/** Is what a service needs of the client. */
export interface TokenSource {
  token(
    name: string,
    options: { readonly minValidSeconds?: number; readonly scopes?: readonly string[]; readonly refused?: string },
  ): Promise<TokenValue>;
}

/** Is the part of a module of googleapis that is used here. */
interface ServiceModule {
  readonly VERSIONS: Readonly<Record<string, unknown>>;
  readonly auth: { readonly OAuth2: new (options: object) => LibraryAuth };
}

/** Is the part of google-auth-library's OAuth2Client that is used here. */
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

/** Says which scopes fit a service, for those that people mix up; a Drive token is never used for Calendar (developers.google.com/identity/protocols/oauth2/scopes). */
const FITTING: Readonly<Record<string, RegExp>> = {
  calendar: /\/auth\/calendar(?:\.|$)/,
  docs: /\/auth\/(?:documents|drive)(?:\.|$)/,
  drive: /\/auth\/drive(?:\.|$)/,
  gmail: /\/auth\/gmail\.|^https:\/\/mail\.google\.com\//,
  people: /\/auth\/(?:contacts|directory|userinfo|user)(?:\.|$)/,
  sheets: /\/auth\/(?:spreadsheets|drive)(?:\.|$)/,
  slides: /\/auth\/(?:presentations|drive)(?:\.|$)/,
  tasks: /\/auth\/tasks(?:\.|$)/,
  youtube: /\/auth\/youtube(?:\.|$)/,
};

/** Loads it: googleapis is CommonJS, and one service alone loads ten times faster than all of them. */
const load = createRequire(import.meta.url);

/** Is how long a token must be valid for one request, in seconds. */
const MIN_VALID_S = 60;

/** Makes a service of googleapis; see Aipass.google. @throws AipassError NOT_FOUND. */
export function openGoogleService(
  source: TokenSource,
  service: string,
  version: string | undefined,
  { account = 'google', scopes, options = {} }: GoogleOptions,
): unknown {
  const module = loadService(service);
  const chosen = version ?? newestVersion(Object.keys(module.VERSIONS));
  const Api = chosen === undefined ? undefined : module.VERSIONS[chosen];
  if (typeof Api !== 'function') {
    throw new AipassError('NOT_FOUND', `googleapis knows no version ${String(chosen)} of ${service}`, {
      hint: `it knows: ${Object.keys(module.VERSIONS).join(', ')}`,
    });
  }
  // An infinite threshold makes every token "about to expire", so that the daemon is asked each time.
  const auth = new module.auth.OAuth2({ eagerRefreshThresholdMillis: Number.MAX_SAFE_INTEGER });
  auth.refreshHandler = async () => {
    const token = await source.token(account, {
      minValidSeconds: MIN_VALID_S,
      ...(scopes === undefined ? {} : { scopes }),
    });
    if (scopes === undefined) assertFits(service, account, token.scopes);
    return { access_token: token.accessToken, expiry_date: token.expiresAt ?? Number.MAX_SAFE_INTEGER };
  };
  const send = auth.request.bind(auth);
  auth.request = async (request) => {
    try {
      return await send(request);
    } catch (error) {
      const refused = refusedToken(error, request);
      if (refused === undefined) throw error;
      const token = await source.token(account, { minValidSeconds: MIN_VALID_S, refused });
      if (token.accessToken === refused) throw error;
      return await send(request);
    }
  };
  return Reflect.construct(Api, [{ ...options, auth }]);
}

/** Returns the token of a request that was answered with 401 and can be sent again, or undefined. */
function refusedToken(error: unknown, { headers, data, body }: LibraryRequest): string | undefined {
  const response = readField(error, 'response');
  // A Response has its status on the prototype.
  const isRefused = isRecord(response) && 'status' in response && response['status'] === 401;
  if (!isRefused || isStream(data) || isStream(body)) return undefined;
  const authorization = headers instanceof Headers ? headers.get('authorization') : readField(headers, 'authorization');
  return typeof authorization === 'string' ? /^Bearer (.+)$/i.exec(authorization)?.[1] : undefined;
}

/** A stream was read while it was sent: there is nothing left of it to send again. */
function isStream(value: unknown): boolean {
  return value instanceof Readable || value instanceof ReadableStream;
}

function loadService(service: string): ServiceModule {
  const found = findService(service);
  if (found.kind === 'none') throw found.error;
  return load(found.path) as ServiceModule;
}

/** Looks for the module of a service, and says why there is none. */
function findService(
  service: string,
): { readonly kind: 'found'; readonly path: string } | { readonly kind: 'none'; readonly error: AipassError } {
  if (SERVICE.test(service)) {
    try {
      load.resolve('googleapis/package.json');
    } catch (cause) {
      const details = { hint: 'npm install googleapis', cause };
      return {
        kind: 'none',
        error: new AipassError('NOT_FOUND', 'the package googleapis is not installed here', details),
      };
    }
    const path = `googleapis/build/src/apis/${service}/index.js`;
    try {
      load.resolve(path);
      return { kind: 'found', path };
    } catch {
      // It is told below.
    }
  }
  const hint = 'see https://github.com/googleapis/google-api-nodejs-client for the names';
  return { kind: 'none', error: new AipassError('NOT_FOUND', `googleapis knows no service "${service}"`, { hint }) };
}

/** Chooses the highest stable version, else the highest of all. */
function newestVersion(versions: readonly string[]): string | undefined {
  const stable = versions.filter((version) => /^v\d+(?:\.\d+)?$/.test(version));
  return (stable.length > 0 ? stable : versions).toSorted((a, b) => versionNumber(b) - versionNumber(a))[0];
}

function versionNumber(version: string): number {
  return Number(/\d+(?:\.\d+)?/.exec(version)?.[0] ?? 0);
}

function assertFits(service: string, account: string, scopes: readonly string[]): void {
  const fitting = FITTING[service];
  if (fitting === undefined || scopes.length === 0 || scopes.some((scope) => fitting.test(scope))) return;
  throw new AipassError(
    'REAUTH_REQUIRED',
    `the token of ${account} is not for ${service}: it has ${scopes.join(', ')}`,
    {
      hint: `run: aipassd reauth ${account.replace('.', ' --account ')} --scopes ${[...scopes, service].join(',')}`,
    },
  );
}

/** Is a shortcut to a service: `aipass.drive()` is `aipass.google('drive')`. */
export type OpenService = <Service = unknown>(version?: string, options?: GoogleOptions) => Promise<Service>;

/** Matches names that the language and its tools look for on any object: they must not seem to be services. */
const NO_SERVICE = /^(?:then|catch|finally|inspect|nodeType|tagName|asymmetricMatch|to[A-Z]\w*)$/;

/** Has a method for every service that googleapis knows; those that are named here have a type as well. */
export abstract class GoogleShortcuts {
  declare readonly calendar: OpenService;
  declare readonly docs: OpenService;
  declare readonly drive: OpenService;
  declare readonly gmail: OpenService;
  declare readonly people: OpenService;
  declare readonly sheets: OpenService;
  declare readonly slides: OpenService;
  declare readonly tasks: OpenService;
  declare readonly youtube: OpenService;

  abstract google<Service = unknown>(service: string, version?: string, options?: GoogleOptions): Promise<Service>;

  static {
    // At the end of the chain, so that it is asked only for what nothing else has.
    const services = new Proxy(
      {},
      {
        get(target, name, receiver: unknown) {
          if (Reflect.has(target, name)) return Reflect.get(target, name, receiver);
          if (typeof name !== 'string' || !SERVICE.test(name) || NO_SERVICE.test(name)) return undefined;
          const client = receiver as GoogleShortcuts;
          return async (version?: string, options?: GoogleOptions) => {
            const found = Object.hasOwn(FITTING, name) ? undefined : findService(name);
            if (found?.kind === 'none') throw await noMethod(client, name, found.error);
            return client.google(name, version, options);
          };
        },
      },
    );
    Object.setPrototypeOf(GoogleShortcuts.prototype, services);
  }
}

/** Returns the error for a name that is neither a method nor a service: most likely a misspelt method. */
async function noMethod(client: GoogleShortcuts, name: string, reason: AipassError): Promise<AipassError> {
  const methods: string[] = [];
  for (let holder: unknown = client; holder instanceof GoogleShortcuts; holder = Object.getPrototypeOf(holder)) {
    methods.push(...Object.getOwnPropertyNames(holder).filter((method) => method !== 'constructor'));
  }
  // Not before it is needed: it brings a package, which loading the client must not.
  const { nearest } = await import('../base/nearest.ts');
  const near = nearest(name, [...methods, ...Object.keys(FITTING)]);
  const meant = near === undefined ? '' : `did you mean "${near}"? `;
  return new AipassError('NOT_FOUND', `aipass has no method "${name}", and ${reason.message}`, {
    hint: `${meant}For a service of Google: ${reason.hint ?? ''}`,
    cause: reason,
  });
}
