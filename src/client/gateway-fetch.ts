/**
 * A `fetch` whose requests go through aipassd: for every SDK that takes one. The program holds no
 * key: the daemon puts one of its pool in, and the kernel reports who asks.
 *
 * It is node:http over the gateway's Unix socket, because Node's own fetch cannot reach one.
 * Addresses of the providers that SDKs have built in are known. So is the listener of a run of
 * `aipassd exec`, whose address the SDKs read from the environment. Every other address begins with
 * `http://aipassd/<provider>/`.
 */

import type { Agent, IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { AipassError } from '../base/errors.ts';
import { GATEWAY_VARIABLE } from '../protocol/gateway.ts';
import { describeConnectFailure } from './failures.ts';

/** Function with the shape of `fetch`. */
export type GatewayFetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>;

/** Destination of requests, and how they are recorded. */
export interface GatewayFetchOptions {
  /** Path of `gateway.sock`. */
  readonly socket: string;
  readonly caller: string | undefined;
  readonly session: string;
}

/** Host of addresses that name the provider in their path. */
export const GATEWAY_HOST = 'aipassd';

/** Providers by the hosts that SDKs have built in. */
const PROVIDER_OF_HOST: Readonly<Record<string, string>> = {
  'api.openai.com': 'openai',
  'api.anthropic.com': 'anthropic',
  'generativelanguage.googleapis.com': 'google',
  'openrouter.ai': 'openrouter',
  'api.groq.com': 'groq',
  'api.mistral.ai': 'mistral',
  'api.x.ai': 'xai',
  'api.deepseek.com': 'deepseek',
};

/** Statuses whose answers have no body (fetch standard). */
const WITHOUT_BODY: ReadonlySet<number> = new Set([101, 103, 204, 205, 304]);

/** Fields that belong to the connection, and are not a caller's to set. */
const CONNECTION_FIELDS: ReadonlySet<string> = new Set(['connection', 'content-length', 'host', 'transfer-encoding']);

/** Body that is ready to be sent, with the type that it brings. */
interface Body {
  readonly bytes: Uint8Array | Readable | null;
  readonly type: string | null;
}

/** Creates the function; `close` ends its idle connections. */
export function createGatewayFetch(options: GatewayFetchOptions): {
  readonly fetch: GatewayFetch;
  readonly close: () => void;
} {
  // Made at the first request: node:http is loaded only by the programs that send one.
  let agent: Agent | undefined;
  const gatewayFetch: GatewayFetch = async (input, init = {}) => {
    // A Request reads what it is given as fetch does: a body of any kind, a boundary for a form, a
    // method in capitals.
    const asked = new Request(input, {
      ...init,
      ...(init.body === undefined || init.body === null ? {} : { duplex: 'half' }),
    });
    const path = gatewayPath(new URL(asked.url));
    asked.signal.throwIfAborted();
    agent ??= new (process.getBuiltinModule('node:http').Agent)({ keepAlive: true });
    const answer = await send(asked, path, bodyOf(asked, init), options, agent);
    return responseOf(answer, asked);
  };
  return { fetch: gatewayFetch, close: () => agent?.destroy() };
}

/** Returns the path at the gateway for an address. Throws BAD_REQUEST for an unknown host. */
export function gatewayPath({ protocol, hostname, origin, pathname, search }: URL): string {
  if (hostname === GATEWAY_HOST || origin === process.env[GATEWAY_VARIABLE]) return `${pathname}${search}`;
  const provider = Object.hasOwn(PROVIDER_OF_HOST, hostname) ? PROVIDER_OF_HOST[hostname] : undefined;
  if (provider !== undefined && protocol === 'https:') return `/${provider}${pathname}${search}`;
  throw new AipassError('BAD_REQUEST', `aipass.fetch: the host is not a known provider (got ${hostname})`, {
    hint: `set the base URL of the SDK to http://${GATEWAY_HOST}/<provider>/v1; aipassd list-providers lists them`,
  });
}

function bodyOf(asked: Request, { body }: RequestInit): Body {
  const type = asked.headers.get('content-type');
  if (asked.body === null) return { bytes: null, type };
  if (typeof body === 'string') return { bytes: Buffer.from(body), type };
  if (body instanceof Uint8Array) return { bytes: body, type };
  return { bytes: Readable.fromWeb(asked.body), type };
}

function send(
  asked: Request,
  path: string,
  { bytes, type }: Body,
  { socket, caller, session }: GatewayFetchOptions,
  agent: Agent,
): Promise<IncomingMessage> {
  const headers: Record<string, string> = {};
  for (const [name, value] of asked.headers) if (!CONNECTION_FIELDS.has(name)) headers[name] = value;
  if (type !== null) headers['content-type'] = type;
  if (bytes instanceof Uint8Array) headers['content-length'] = String(bytes.byteLength);
  if (caller !== undefined) headers['x-aipass-caller'] = encodeURIComponent(caller);
  headers['x-session-id'] ??= session;
  return new Promise((resolve, reject) => {
    const request = process.getBuiltinModule('node:http').request({
      socketPath: socket,
      agent,
      path,
      method: asked.method,
      headers: { host: GATEWAY_HOST, ...headers },
    });
    let answer: IncomingMessage | undefined;
    const abort = (): void => {
      const reason: unknown = asked.signal.reason;
      const error = reason instanceof Error ? reason : new Error('the call was aborted');
      // The reader of an answer gets the reason, too, and not only that the connection broke.
      answer?.destroy(error);
      request.destroy(error);
      reject(reason);
    };
    asked.signal.addEventListener('abort', abort, { once: true });
    request.once('close', () => asked.signal.removeEventListener('abort', abort));
    request.once('response', (response) => {
      answer = response;
      resolve(response);
    });
    request.on('error', (error) => {
      // As fetch does it: a TypeError, whose cause is the reason.
      reject(new TypeError('fetch failed', { cause: describeConnectFailure(socket, error) ?? error }));
    });
    if (bytes instanceof Readable) {
      bytes.on('error', (error) => request.destroy(error));
      bytes.pipe(request);
    } else request.end(bytes ?? undefined);
  });
}

function responseOf(answer: IncomingMessage, asked: Request): Response {
  const { statusCode = 502, statusMessage = '' } = answer;
  const headers = new Headers();
  for (const [name, value] of Object.entries(answer.headers)) {
    for (const one of Array.isArray(value) ? value : [value]) if (one !== undefined) headers.append(name, one);
  }
  const isEmpty = WITHOUT_BODY.has(statusCode) || asked.method === 'HEAD';
  if (isEmpty) answer.resume();
  const body = isEmpty ? null : (Readable.toWeb(answer) as ReadableStream<Uint8Array>);
  const response = new Response(body, { status: statusCode, statusText: statusMessage, headers });
  Object.defineProperty(response, 'url', { value: asked.url });
  return response;
}
