/**
 * One listener of the gateway: a node:http server on a Unix socket or on loopback, with its
 * connections, time limits and stop. What a request asks for is decided elsewhere (gateway.ts).
 *
 * A connection is closed when it is silent: before its first request, between two requests, and in
 * the middle of one.
 */

import { once } from 'node:events';
import type { IncomingMessage, Server as HttpServer, ServerResponse } from 'node:http';
import { createServer, type AddressInfo, type ListenOptions, type Server, type Socket } from 'node:net';
import { foregroundClock } from '../base/clock.ts';
import { AipassError, systemErrorCode } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { withTimeout } from '../base/timers.ts';
import { RejectedConnections } from '../callers/gate.ts';
import { formatError, httpStatusOf } from './dialect-errors.ts';
import { ReadPacer, type PacedReads } from './paced-reads.ts';
import { SERVED_METHODS } from './request-rules.ts';

/** Longest header section of a request, in bytes. */
const MAX_HEADER_BYTES = 64 * 1024;

/**
 * Time in which the header section of a request has to arrive, the first one counted from the
 * connection.
 */
const HEADERS_MS = 20_000;

/** Time in which a whole request has to arrive: an upload of the largest body over a slow link. */
const REQUEST_MS = 600_000;

/**
 * Time that a connection stays open between two requests. Longer than the pools of clients keep
 * theirs.
 */
const KEEP_ALIVE_MS = 75_000;

/** Interval in which Node checks these limits. */
const CHECK_MS = 2000;

/**
 * Requests of one connection that wait for their answers, after which no more are read: no client
 * that is in use pipelines.
 */
const MAX_PIPELINED = 8;

/** Time that a rejected connection gets to read why. */
const FAREWELL_MS = 500;

/** Most bytes that are read of what a client sends that is not a request. */
const MAX_DISCARDED_BYTES = 16 * 1024 * 1024;

/** Connections that wait to be accepted: the kernel lowers it to its own bound. */
const BACKLOG = 4096;

/** Time that aborted requests get during a stop. */
const ABORT_MS = 1000;

/** Time limits of an endpoint, in milliseconds; tests shorten them. */
export interface EndpointTimeouts {
  readonly headersMs: number;
  readonly keepAliveMs: number;
  readonly checkMs: number;
}

/** One request with its answer. */
export interface HttpExchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly socket: Socket;
  /** Aborts when the client goes away or the daemon stops; its reason is an AipassError. */
  readonly signal: AbortSignal;
  /** Whether the client waits for `100 Continue` before it sends the body. */
  readonly expectsContinue: boolean;
}

export interface HttpEndpointDeps {
  /**
   * Called for each new connection, before anything is read from it. Throws an AipassError to
   * reject it.
   */
  readonly onConnection: (socket: Socket) => void;
  /** Called when an accepted connection is closed. */
  readonly onClose: (socket: Socket) => void;
  /** Answers one request; never rejects. */
  readonly handle: (exchange: HttpExchange) => Promise<void>;
  readonly logger: Logger;
  readonly timeouts?: Partial<EndpointTimeouts>;
}

/** Accepted connection. */
interface OpenConnection {
  readonly reads: PacedReads;
  /** Requests without a complete answer. */
  readonly requests: InFlightRequest[];
}

/** Request that has no complete answer yet. */
interface InFlightRequest {
  readonly abort: AbortController;
  readonly response: ServerResponse;
}

/** HTTP server on one address. */
export class HttpEndpoint {
  readonly #deps: HttpEndpointDeps;
  readonly #sockets = new Map<Socket, OpenConnection>();
  readonly #pacer = new ReadPacer();
  /** Accepts connections; node:http handles them. */
  #server: Server | undefined;
  #http: HttpServer | undefined;
  #port: number | null = null;
  readonly #rejected = new RejectedConnections();

  constructor(deps: HttpEndpointDeps) {
    this.#deps = deps;
  }

  /** Number of accepted connections. */
  get connections(): number {
    return this.#sockets.size;
  }

  /** Number of requests without a complete answer. */
  get requestsInFlight(): number {
    return this.#inFlight().length;
  }

  /**
   * Port of a TCP listener, or null where it listens on a path. It stays after a stop: requests of
   * open connections are still checked by it.
   */
  get port(): number | null {
    return this.#port;
  }

  /** Listens. Rejects with the system's error where the address cannot be bound. */
  async listen(options: ListenOptions): Promise<AddressInfo | string | null> {
    // Half open as node:http has it: an answer that was written still leaves after its client ended
    // its side.
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket));
    server.on('error', (error) =>
      this.#deps.logger.debug('a listener of the gateway failed', { reason: error.message }),
    );
    server.listen({ backlog: BACKLOG, ...options });
    await once(server, 'listening');
    this.#server = server;
    const address = server.address();
    this.#port = typeof address === 'object' && address !== null ? address.port : null;
    return address;
  }

  /** Stops accepting on the current address and listens anew. Open connections go on. */
  async relisten(options: ListenOptions): Promise<void> {
    this.#server?.close();
    await this.listen(options);
  }

  /**
   * Stops accepting, waits up to `graceMs` for requests in flight, aborts the others with a reason,
   * and closes every connection.
   */
  async stop(graceMs: number, reason: AipassError = STOPPING): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    server.close();
    // Closes idle connections, and ends the checks of the time limits.
    this.#http?.close();
    const ended = Promise.allSettled(this.#inFlight().map(({ response }) => once(response, 'close')));
    await withTimeout(foregroundClock, graceMs, ended, () => {});
    for (const { abort } of this.#inFlight()) abort.abort(reason);
    await withTimeout(foregroundClock, ABORT_MS, ended, () => {});
    for (const socket of this.#sockets.keys()) socket.destroy();
  }

  /**
   * Each connection keeps its own requests. A Set of all makes a new table every few requests, and
   * V8 keeps alive what the old ones held until a full collection.
   */
  #inFlight(): readonly InFlightRequest[] {
    return [...this.#sockets.values()].flatMap(({ requests }) => requests);
  }

  /**
   * Returns the server of node:http, which no address is bound to. It is made with the first
   * connection: loading node:http takes 4 MB and 10 ms of a start (2026-11-28).
   */
  #createHttp(): HttpServer {
    const { headersMs = HEADERS_MS, keepAliveMs = KEEP_ALIVE_MS, checkMs = CHECK_MS } = this.#deps.timeouts ?? {};
    const http = process.getBuiltinModule('node:http').createServer({
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: headersMs,
      requestTimeout: Math.max(REQUEST_MS, headersMs),
      keepAliveTimeout: keepAliveMs,
      connectionsCheckingInterval: checkMs,
      insecureHTTPParser: false,
      // Java's client offers HTTP/2 with its first request (RFC 7540, 3.2). Whoever does not switch
      // ignores that; what else asks for another protocol gets an error.
      shouldUpgradeCallback: ({ headers }) => headers.upgrade !== 'h2c' || headers['http2-settings'] === undefined,
      // A request without Host gets an error that its client can read (request-rules.ts), and not
      // an empty one of Node.
      requireHostHeader: false,
    });
    // A number here would drop the fields above it unread; the size bounds them already.
    http.maxHeadersCount = 0;
    // No bound of its own: the gate counts by user, and would let others take the place of the
    // owner here.
    http.on('request', (request, response) => this.#receive(request, response, false));
    http.on('checkContinue', (request, response) => this.#receive(request, response, true));
    http.on('checkExpectation', (request, response) => this.#receive(request, response, false));
    http.on('upgrade', (_request, socket: Socket) => this.#refuse(socket, UPGRADE_REFUSED, 426));
    http.on('connect', (_request, socket: Socket) => this.#refuse(socket, CONNECT_REFUSED, 405));
    http.on('clientError', (error, socket: Socket) => this.#refuseGarbage(error, socket));
    // Node begins with this event to check the time limits.
    http.emit('listening');
    return http;
  }

  #accept(socket: Socket): void {
    // A reset of a client that is gone is not an event.
    socket.on('error', ignore);
    try {
      this.#deps.onConnection(socket);
    } catch (error) {
      if (this.#rejected.add(socket)) refuseOnSocket(socket, error instanceof AipassError ? error : INTERNAL);
      else socket.destroy();
      return;
    }
    // Before anything is read (nodejs.org, "Event: 'connection'" of http.Server).
    this.#http ??= this.#createHttp();
    this.#http.emit('connection', socket);
    const connection: OpenConnection = {
      reads: this.#pacer.pace(socket, () => connection.requests.length >= MAX_PIPELINED),
      requests: [],
    };
    this.#sockets.set(socket, connection);
    // Node ends its side, too, once what waits there was read: a client that does not read any more
    // would hold its provider until then.
    socket.once('end', () => {
      for (const { abort } of connection.requests) abort.abort(GONE);
    });
    socket.once('close', () => {
      this.#sockets.delete(socket);
      this.#deps.onClose(socket);
    });
  }

  #receive(request: IncomingMessage, response: ServerResponse, expectsContinue: boolean): void {
    const { socket } = request;
    const connection = this.#sockets.get(socket);
    // A connection that was rejected or closed may have sent requests meanwhile.
    if (connection === undefined || socket.destroyed) return;
    // Behind an answer that closes the connection no other one can leave: nobody is asked for it.
    if (connection.requests.some(({ response: earlier }) => earlier.headersSent && !earlier.shouldKeepAlive)) return;
    const abort = new AbortController();
    const inFlight: InFlightRequest = { abort, response };
    connection.requests.push(inFlight);
    response.on('close', () => {
      connection.requests.splice(connection.requests.indexOf(inFlight), 1);
      connection.reads.wake();
      if (!response.writableFinished) abort.abort(GONE);
    });
    response.on('error', ignore);
    void this.#deps.handle({ request, response, socket, signal: abort.signal, expectsContinue });
  }

  /**
   * Ends a connection on which something else than a request came. An answer that is owed leaves
   * first, because whatever is written before its end would be taken for it.
   */
  #refuse(socket: Socket, error: AipassError, status?: number): void {
    const { requests = [] } = this.#sockets.get(socket) ?? {};
    const owed = requests.findLast(({ response }) => response.headersSent || response.req.complete);
    if (owed === undefined) {
      refuseOnSocket(socket, error, status);
      return;
    }
    discard(socket);
    owed.response.once('finish', () => socket.destroySoon());
  }

  #refuseGarbage(error: Error, socket: Socket): void {
    if (!socket.writable) {
      socket.destroy();
      return;
    }
    switch (systemErrorCode(error)) {
      case 'HPE_HEADER_OVERFLOW':
        this.#refuse(socket, HEADERS_TOO_LONG, 431);
        return;
      case 'ERR_HTTP_REQUEST_TIMEOUT':
        // Node ends idle connections this way too: one that sent nothing gets nothing.
        if (socket.bytesRead === 0) socket.destroy();
        else this.#refuse(socket, REQUEST_TOO_SLOW, 408);
        return;
      case 'ECONNRESET':
        socket.destroy();
        return;
      default:
        this.#refuse(socket, MALFORMED);
    }
  }
}

function ignore(): void {}

const GONE = new AipassError('CANCELLED', 'the client went away');
const STOPPING = new AipassError('CANCELLED', 'the daemon is stopping', { hint: 'try again once it is back' });
const UPGRADE_REFUSED = new AipassError('BAD_REQUEST', 'the gateway does not switch protocols', {
  hint: 'use HTTP requests and server-sent events',
});
const CONNECT_REFUSED = new AipassError('BAD_REQUEST', 'the gateway is not a proxy', {
  hint: 'set it as the base URL of a client, and NO_PROXY=127.0.0.1,localhost',
});
const INTERNAL = new AipassError('INTERNAL', 'the daemon failed to accept this connection', {
  hint: 'see the log of the daemon',
});
const MALFORMED = new AipassError('BAD_REQUEST', 'this is not an HTTP request', { hint: 'send HTTP/1.1' });
const HEADERS_TOO_LONG = new AipassError('BAD_REQUEST', `the headers are longer than ${MAX_HEADER_BYTES} bytes`, {
  hint: 'send fewer or shorter ones',
});
const REQUEST_TOO_SLOW = new AipassError('TIMED_OUT', 'the request did not arrive in time', {
  hint: `send its headers within ${HEADERS_MS / 1000} s, and all of it within ${REQUEST_MS / 60_000} minutes`,
});

/**
 * Reads and drops what still comes, up to a bound. Bytes that stay unread would reset the
 * connection at its close, before its client has read the answer.
 */
function discard(socket: Socket): void {
  const end = socket.bytesRead + MAX_DISCARDED_BYTES;
  socket.removeAllListeners('data').on('data', () => {
    if (socket.bytesRead > end) socket.destroy();
  });
  socket.resume();
}

/** Answers on a connection outside of any request, and closes it. */
function refuseOnSocket(socket: Socket, error: AipassError, status = httpStatusOf(error)): void {
  discard(socket);
  const { headers, body } = formatError(error, 'openai', status);
  const fields = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const upgrade = status === 426 ? 'upgrade: HTTP/1.1\r\n' : status === 405 ? `allow: ${SERVED_METHODS}\r\n` : '';
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_TEXT[status] ?? 'Error'}\r\n${upgrade}${fields.join('')}connection: close\r\n\r\n${body}`,
  );
  const timer = setTimeout(() => socket.destroy(), FAREWELL_MS);
  timer.unref();
  socket.once('close', () => clearTimeout(timer));
}

const STATUS_TEXT: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  403: 'Forbidden',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  426: 'Upgrade Required',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
};
