/**
 * Authorization code flow with PKCE (RFC 6749 §4.1, RFC 7636, RFC 8252). The browser comes back to
 * a port of this machine. Where browser and machine are apart, the user pastes the address it was
 * sent to.
 *
 * Only a redirect with this consent's own state ends the wait. Whatever else arrives at the port
 * (another page, a port scan, a stale tab, silent connections) gets an error page and changes
 * nothing.
 */

import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { maskKeyShapes } from '../../base/redactor.ts';
import { Secret } from '../../base/secret.ts';
import { isSafeEndpoint } from '../provider-presets.ts';
import type { OAuthClient, PendingAuthorization } from './client.ts';
import type { ConsentChannel } from './job.ts';
import { loadLibrary } from './library.ts';
import { ERROR_CODE, UNKNOWN_ERROR, type GrantAnswer } from './token-answer.ts';
import { consentErrors } from '../messages.ts';

/** Path of the redirect address, where the provider has none registered. */
const REDIRECT_PATH = '/callback';

/** Asks in a browser. @throws AipassError when that ends without a code. */
export async function consentByBrowser(
  listener: RedirectListener,
  client: OAuthClient,
  scopes: readonly string[],
  channel: ConsentChannel,
): Promise<GrantAnswer> {
  const pending = createPending(listener.redirectUri);
  const { authorizationUrl, codeGrant } = await loadLibrary(client);
  const page = await authorizationUrl(client, scopes, pending);
  if (page.kind !== 'url') return page;
  // The browser is sent there: not to a program or a file of this machine.
  if (page.url === undefined || !isSafeEndpoint(page.url)) throw consentErrors.noAuthorizationEndpoint(client.account);
  const { redirectUri, isListening } = listener;
  const redirect = listener.await(pending);
  channel.prompt({ kind: 'browser', url: page.url, redirectUri, listening: isListening });
  const outcome = await awaitRedirect(pending, redirect, channel);
  if (outcome.kind === 'code') {
    client.judging.sent?.push(...outcome.params.values());
    return await codeGrant(client, pending, outcome.params);
  }
  // Whoever asked for this consent may write the redirect: a mask by value would reveal whether a
  // guess is part of a secret.
  const description = outcome.description === undefined ? undefined : maskKeyShapes(outcome.description);
  throw consentErrors.rejected(client.account.name, { code: outcome.error, description });
}

/** Judgement of a redirect, before anything of it is used. */
type RedirectOutcome =
  | { readonly kind: 'code'; readonly params: URLSearchParams }
  | { readonly kind: 'denied'; readonly error: string; readonly description: string | undefined }
  /** Without code and error, or with another state: not the answer to this request. */
  | { readonly kind: 'foreign' };

/** Makes a request's secret half: 256 random bits each for state and verifier. */
function createPending(redirectUri: string): PendingAuthorization {
  const verifier = randomBytes(32).toString('base64url');
  return {
    redirectUri,
    state: randomBytes(32).toString('base64url'),
    verifier: new Secret(verifier),
    challenge: createHash('sha256').update(verifier).digest('base64url'),
  };
}

/** Judges the parameters of a redirect: the state first (RFC 6749 §10.12). */
function judgeRedirect(pending: PendingAuthorization, params: URLSearchParams): RedirectOutcome {
  const state = Buffer.from(params.get('state') ?? '');
  const expected = Buffer.from(pending.state);
  if (state.length !== expected.length || !timingSafeEqual(state, expected)) return { kind: 'foreign' };
  const code = params.get('code');
  if (code !== null && code !== '' && !params.has('error')) return { kind: 'code', params };
  if (!params.has('error')) return { kind: 'foreign' };
  const error = params.get('error') ?? '';
  return {
    kind: 'denied',
    error: ERROR_CODE.test(error) ? error : UNKNOWN_ERROR,
    description: params.get('error_description') ?? undefined,
  };
}

function parsePastedRedirect(pending: PendingAuthorization, text: string): URLSearchParams | undefined {
  const trimmed = text.trim();
  if (!URL.canParse(trimmed)) return undefined;
  const url = new URL(trimmed);
  const expected = new URL(pending.redirectUri);
  return url.origin === expected.origin && url.pathname === expected.pathname ? url.searchParams : undefined;
}

type Answered = Exclude<RedirectOutcome, { kind: 'foreign' }>;

async function awaitRedirect(
  pending: PendingAuthorization,
  redirect: Promise<Answered>,
  channel: ConsentChannel,
): Promise<Answered> {
  const { promise, resolve, reject } = Promise.withResolvers<Answered>();
  const end = (): void => reject(channel.signal.reason);
  if (channel.signal.aborted) end();
  channel.signal.addEventListener('abort', end, { once: true });
  channel.onPasted((address) => {
    const params = parsePastedRedirect(pending, address);
    const outcome = params === undefined ? undefined : judgeRedirect(pending, params);
    if (outcome !== undefined && outcome.kind !== 'foreign') resolve(outcome);
    else reject(params ? consentErrors.foreignRedirect() : consentErrors.otherAddress(pending.redirectUri));
  });
  redirect.then(resolve, reject);
  try {
    return await promise;
  } finally {
    channel.signal.removeEventListener('abort', end);
  }
}

/** Redirect address of a consent. */
export interface RedirectListener {
  readonly redirectUri: string;
  /** Whether the browser comes back by itself; otherwise its last address has to be pasted. */
  readonly isListening: boolean;
  /** Resolves with the first redirect that answers the request. */
  await(pending: PendingAuthorization): Promise<Answered>;
  close(): void;
}

/** Hosts of a redirect address that lead a browser to 127.0.0.1, the only one that is bound. */
const OWN_HOSTS: ReadonlySet<string> = new Set(['127.0.0.1', 'localhost']);

/** Opens the redirect address: the registered one, else a port of 127.0.0.1. */
export async function openRedirectListener(registered: string | undefined, port: number): Promise<RedirectListener> {
  const fixed = registered === undefined ? undefined : parseRedirectUri(registered);
  const path = fixed?.pathname ?? REDIRECT_PATH;
  const isListening = fixed === undefined || (fixed.protocol === 'http:' && OWN_HOSTS.has(fixed.hostname));
  if (!isListening) {
    return { redirectUri: fixed.href, isListening, await: () => new Promise(() => {}), close: () => {} };
  }
  const { port: actual, ...loopback } = await openLoopback(
    fixed === undefined || port !== 0 ? port : Number(fixed.port),
    path,
  );
  return {
    ...loopback,
    redirectUri: `http://${fixed?.hostname ?? '127.0.0.1'}:${actual}${path}`,
    isListening,
  };
}

function parseRedirectUri(text: string): URL {
  if (URL.canParse(text)) return new URL(text);
  throw consentErrors.invalidRedirectUri();
}

/** Longest time for a request to arrive whole, in milliseconds. */
const REQUEST_LIMIT_MS = 10_000;

/** Most open connections; the oldest goes first, so that silent ones keep no browser out. */
const MAX_CONNECTIONS = 64;

/** Opens an HTTP server on 127.0.0.1 for one redirect (RFC 8252 §7.3). */
async function openLoopback(
  port: number,
  path: string,
): Promise<Pick<RedirectListener, 'await' | 'close'> & { readonly port: number }> {
  const { promise: redirect, resolve } = Promise.withResolvers<Answered>();
  let pending: PendingAuthorization | undefined;
  const connections = new Set<Socket>();
  // Not imported: a device flow needs no server, and node:http is slow to load.
  const server = process.getBuiltinModule('node:http').createServer((request, response) => {
    const send = (status: number, text: string): void => {
      response.writeHead(status, HEADERS).end(pageOf(text));
    };
    const target = request.url ?? '';
    const url = URL.canParse(target, 'http://127.0.0.1') ? new URL(target, 'http://127.0.0.1') : undefined;
    // A page elsewhere that has its own name point here must not be able to speak for the browser.
    const isOwnHost = OWN_HOSTS.has((request.headers.host ?? '').replace(/:\d+$/, ''));
    const isRedirect = url?.pathname === path && (url.searchParams.has('code') || url.searchParams.has('error'));
    if (!isRedirect || !isOwnHost || request.method !== 'GET') {
      send(404, 'Not found.');
      return;
    }
    const outcome: RedirectOutcome =
      pending === undefined ? { kind: 'foreign' } : judgeRedirect(pending, url.searchParams);
    if (outcome.kind === 'foreign') {
      send(400, 'This redirect does not belong to the consent that aipassd waits for. Consent in the newest window.');
      return;
    }
    send(
      200,
      outcome.kind === 'code'
        ? 'Received. You can close this window and go back to the terminal.'
        : 'The provider did not grant it. Go back to the terminal, it has the details.',
    );
    response.once('close', () => server.closeAllConnections());
    server.close();
    resolve(outcome);
  });
  server.requestTimeout = REQUEST_LIMIT_MS;
  server.headersTimeout = REQUEST_LIMIT_MS;
  server.on('connection', (socket) => {
    connections.add(socket);
    socket.once('close', () => connections.delete(socket));
    const [oldest] = connections;
    if (connections.size > MAX_CONNECTIONS) oldest?.destroy();
  });
  server.listen({ host: '127.0.0.1', port, exclusive: true });
  await once(server, 'listening').catch((error: unknown) => {
    throw consentErrors.portTaken(port, error);
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : port,
    await(given) {
      pending = given;
      return redirect;
    },
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

const HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  connection: 'close',
};

function pageOf(text: string): string {
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>aipassd</title><p>${text}</p></html>\n`;
}
