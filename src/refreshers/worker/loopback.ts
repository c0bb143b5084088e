/**
 * The address on this machine that a provider sends the browser back to (RFC 8252 §7.3): 127.0.0.1 only, one answer, a
 * plain page, closed at once.
 */

import { once } from 'node:events';
import { createServer } from 'node:http';

/** Is a listening redirect address. */
export interface Loopback {
  readonly port: number;
  /** Resolves with the parameters of the first request that is a redirect. */
  readonly redirect: Promise<URLSearchParams>;
  close(): void;
}

/** Says where to listen, and what to tell the browser. */
export interface LoopbackOptions {
  /** Is the port, or 0 for any free one. */
  readonly port: number;
  readonly path: string;
  /** Returns the sentence for the page, given the redirect's parameters. */
  readonly sentence: (params: URLSearchParams) => string;
}

/** Bounds a browser that connects and says nothing. */
const REQUEST_LIMIT_MS = 10_000;

/** Opens the address. @throws the system's error when the port is taken. */
export async function openLoopback(options: LoopbackOptions): Promise<Loopback> {
  const { promise: redirect, resolve } = Promise.withResolvers<URLSearchParams>();
  let answered = false;
  const server = createServer((request, response) => {
    const send = (status: number, sentence: string): void => {
      response.writeHead(status, HEADERS).end(page(sentence));
    };
    const target = request.url ?? '';
    const url = URL.canParse(target, 'http://127.0.0.1') ? new URL(target, 'http://127.0.0.1') : undefined;
    // A page elsewhere that has its own name point here must not be able to speak for the browser.
    const host = /^(?:127\.0\.0\.1|localhost)(?::\d+)?$/.test(request.headers.host ?? '');
    const isRedirect =
      url?.pathname === options.path && (url.searchParams.has('code') || url.searchParams.has('error'));
    if (url === undefined || !host || request.method !== 'GET' || !isRedirect || answered) {
      send(answered ? 410 : 404, 'There is nothing here.');
      return;
    }
    answered = true;
    send(200, options.sentence(url.searchParams));
    response.once('close', () => server.closeAllConnections());
    server.close();
    resolve(url.searchParams);
  });
  server.requestTimeout = REQUEST_LIMIT_MS;
  server.headersTimeout = REQUEST_LIMIT_MS;
  server.maxConnections = 16;
  server.listen({ host: '127.0.0.1', port: options.port, exclusive: true });
  await once(server, 'listening');
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : options.port,
    redirect,
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

function page(sentence: string): string {
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>aipassd</title><p>${sentence}</p></html>\n`;
}
