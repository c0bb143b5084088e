/**
 * Rules that every request has to keep before anybody asks what it is for. They exist against web
 * pages and DNS rebinding on loopback, and against requests that two programs could read
 * differently.
 */

import type { IncomingMessage } from 'node:http';
import { refusal } from './dialect-errors.ts';
import { keysInQuery } from './target.ts';

/** Methods that are neither passed on nor answered. */
const REFUSED_METHODS: ReadonlySet<string> = new Set(['CONNECT', 'TRACE', 'OPTIONS']);

export const SERVED_METHODS = 'GET, HEAD, POST, PUT, PATCH, DELETE';

/** Header fields in which clients send a token. */
const TOKEN_HEADERS = ['authorization', 'x-api-key', 'x-goog-api-key', 'api-key'] as const;

/** Fields of which a second one would be read by one program and not by another. */
const SINGLE_FIELDS: ReadonlySet<string> = new Set([
  ...TOKEN_HEADERS,
  'host',
  'content-length',
  'content-type',
  'content-encoding',
  'transfer-encoding',
]);

/** Most header fields of a request. */
const MAX_HEADER_FIELDS = 128;

/**
 * Checks a request. `port` is the port of the loopback listener, or null on a Unix socket, where
 * Host means nothing.
 *
 * @throws Refusal where it breaks a rule.
 */
export function assertRules(request: IncomingMessage, port: number | null): void {
  const { headers, method = '', httpVersion, rawHeaders } = request;
  if (port !== null && !isOwnHost(headers.host, port)) {
    throw refusal(421, 'FORBIDDEN', 'the Host of the request is not this listener', `send Host: 127.0.0.1:${port}`);
  }
  const site = headers['sec-fetch-site'];
  if (headers.origin !== undefined || (site !== undefined && site !== 'none')) {
    const hint = `call the gateway from a program, without ${headers.origin === undefined ? 'Sec-Fetch-Site' : 'Origin'}`;
    throw refusal(403, 'FORBIDDEN', 'the request comes from a web page', hint);
  }
  if (REFUSED_METHODS.has(method)) {
    const hint = `use one of: ${SERVED_METHODS}`;
    throw refusal(405, 'BAD_REQUEST', `the method ${method} is not served`, hint, { allow: SERVED_METHODS });
  }
  if (request.httpVersionMajor < 1) throw refusal(400, 'BAD_REQUEST', 'this is HTTP/0.9', 'send HTTP/1.1');
  if (headers.host === undefined && httpVersion === '1.1') {
    throw refusal(400, 'BAD_REQUEST', 'the request has no Host', 'send one: RFC 9112, section 3.2');
  }
  const coding = headers['transfer-encoding'];
  if (coding !== undefined && httpVersion === '1.0') {
    throw refusal(400, 'BAD_REQUEST', 'HTTP/1.0 has no transfer codings', 'send a Content-Length, or HTTP/1.1');
  }
  if (coding !== undefined && coding.trim().toLowerCase() !== 'chunked') {
    const problem = 'the transfer coding of the body is not supported';
    throw refusal(501, 'UNSUPPORTED', problem, 'send it chunked, or whole');
  }
  const repeated = findRepeated(rawHeaders);
  if (repeated !== undefined) {
    throw refusal(400, 'BAD_REQUEST', `the header field ${repeated} appears twice`, 'send it once');
  }
  if (rawHeaders.length > MAX_HEADER_FIELDS * 2) {
    throw refusal(431, 'BAD_REQUEST', 'the request has too many header fields', 'send fewer');
  }
}

/** Collects the different tokens that a request presents, wherever clients put one. */
export function presentedTokens({ headers, url = '' }: Pick<IncomingMessage, 'headers' | 'url'>): readonly string[] {
  const tokens = new Set<string>(keysInQuery(url));
  for (const name of TOKEN_HEADERS) {
    const value = headers[name];
    if (typeof value !== 'string') continue;
    const token = name === 'authorization' ? tokenOf(value) : value;
    tokens.add(token.trim());
  }
  tokens.delete('');
  return [...tokens];
}

/**
 * Returns the token of an Authorization field: a bearer token, or the password of Basic (RFC 7617).
 */
function tokenOf(authorization: string): string {
  const [, encoded] = /^Basic +([A-Za-z0-9+/=]+)$/i.exec(authorization) ?? [];
  if (encoded === undefined) return authorization.replace(/^Bearer +/i, '');
  const pair = Buffer.from(encoded, 'base64').toString();
  return pair.slice(pair.indexOf(':') + 1);
}

const OWN_NAMES = ['127.0.0.1', 'localhost', '[::1]'] as const;

function isOwnHost(host: string | undefined, port: number): boolean {
  const name = host?.toLowerCase();
  // The usual port is left out (RFC 9110, 7.2).
  const ends = port === 80 ? ['', ':80'] : [`:${port}`];
  return OWN_NAMES.some((own) => ends.some((end) => name === own + end));
}

function findRepeated(rawHeaders: readonly string[]): string | undefined {
  const seen: string[] = [];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]?.toLowerCase() ?? '';
    if (!SINGLE_FIELDS.has(name)) continue;
    if (seen.includes(name)) return name;
    seen.push(name);
  }
  return undefined;
}
