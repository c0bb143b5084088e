/**
 * The two calls of Google's Drive API that tests make, on 127.0.0.1.
 */

import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { portOf } from './port-of.ts';

/** A running API. */
export class GoogleApi implements AsyncDisposable {
  readonly rootUrl: string;
  readonly #server: Server;
  /** Holds the authorization header and the remote port of each request. */
  readonly requests: {
    readonly path: string;
    readonly authorization: string | undefined;
    readonly port: number | undefined;
  }[] = [];
  /** Counts down: so many requests are answered by breaking the connection. */
  failures = 0;
  /** Access token that is answered with 401. */
  refusedToken: string | undefined;

  private constructor(server: Server) {
    this.#server = server;
    this.rootUrl = `http://127.0.0.1:${portOf(server)}/`;
  }

  static async start(): Promise<GoogleApi> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const self = new GoogleApi(server);
    server.on('request', (request, response) => {
      const { authorization } = request.headers;
      self.requests.push({ path: request.url ?? '', authorization, port: request.socket.remotePort });
      if (self.failures > 0) {
        self.failures -= 1;
        request.socket.resetAndDestroy();
        return;
      }
      if (self.refusedToken !== undefined && authorization === `Bearer ${self.refusedToken}`) {
        response.writeHead(401, { 'content-type': 'application/json' }).end('{"error":{"code":401}}');
        return;
      }
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"files":[{"id":"1","name":"notes"}]}');
    });
    return self;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }
}
