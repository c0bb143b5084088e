/**
 * A token endpoint on 127.0.0.1 that answers exactly what it is told, faults included, and
 * remembers what it was asked.
 */

import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { portOf } from './port-of.ts';

/** How a request is answered; `stall` never answers. */
export type TokenReply =
  | { readonly status?: number; readonly body: unknown; readonly headers?: Readonly<Record<string, string>> }
  | { readonly html: string; readonly status?: number }
  | 'stall'
  | 'reset';

/** A scripted endpoint. */
export class TokenEndpoint implements AsyncDisposable {
  /** Holds the form of each request, in order. */
  readonly requests: URLSearchParams[] = [];
  readonly #server: Server;
  readonly url: string;
  /** Decides how the next request is answered; `count` begins at 1. */
  reply: (form: URLSearchParams, count: number) => TokenReply | Promise<TokenReply> = () => ({ body: {} });

  private constructor(server: Server, url: string) {
    this.#server = server;
    this.url = url;
  }

  static async start(): Promise<TokenEndpoint> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const self = new TokenEndpoint(server, `http://127.0.0.1:${portOf(server)}/token`);
    server.on('request', (request, response) => {
      void (async () => {
        let asked = '';
        for await (const chunk of request) asked += String(chunk);
        const form = new URLSearchParams(asked || (request.url ?? '').split('?')[1]);
        self.requests.push(form);
        const reply = await self.reply(form, self.requests.length);
        if (reply === 'stall') return;
        if (reply === 'reset') request.socket.resetAndDestroy();
        else if ('html' in reply) {
          response.writeHead(reply.status ?? 200, { 'content-type': 'text/html' }).end(reply.html);
        } else {
          const text = typeof reply.body === 'string' ? reply.body : JSON.stringify(reply.body);
          response.writeHead(reply.status ?? 200, { 'content-type': 'application/json', ...reply.headers }).end(text);
        }
      })();
    });
    return self;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }
}
