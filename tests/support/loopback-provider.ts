/**
 * An OpenAI-compatible provider on 127.0.0.1 that does as it is told: answers, streams under the
 * caller's control, and every fault a real one has. It remembers what it was asked and when its
 * connections were closed.
 *
 * Plain Node, no package: tests, the demo and the bench run it as it stands.
 */

import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

/** How a request is answered. */
export type Reply =
  /** Answers with a document. */
  | { readonly kind: 'json'; readonly body: unknown; readonly status?: number; readonly headers?: HeaderFields }
  /** Answers with any text: HTML, nothing, half a document. */
  | { readonly kind: 'text'; readonly body: string; readonly status?: number; readonly headers?: HeaderFields }
  /**
   * Streams events at once; `done` adds `[DONE]` (default true), `cut` breaks the connection
   * instead of ending it.
   */
  | {
      readonly kind: 'events';
      readonly events: readonly unknown[];
      readonly done?: boolean;
      readonly cut?: boolean;
      readonly headers?: HeaderFields;
    }
  /** Sends the head of a stream and leaves the rest to `request.stream`. */
  | { readonly kind: 'paced'; readonly headers?: HeaderFields }
  /** Never answers, before or after the head; `type` is the head's content type. */
  | { readonly kind: 'stall'; readonly after: 'nothing' | 'head'; readonly type?: string }
  /** Resets the connection without an answer. */
  | { readonly kind: 'reset' };

/** Holds header fields. */
export type HeaderFields = Readonly<Record<string, string>>;

/** Chooses a reply for a request. */
export type Replier = (request: LoopbackRequest) => Reply;

/** A request as it arrived. */
export interface LoopbackRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  /** Holds the header fields, names in lower case. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  /** The parsed body, or undefined for one that is no JSON. */
  readonly body: unknown;
  /** The key it came with, from `authorization` or `x-api-key`. */
  readonly key: string | undefined;
  /** Sends a stream piece by piece, for a `paced` reply. */
  readonly stream: LoopbackStream;
  /**
   * Resolves when the client closed the connection before the answer was complete, with the reading
   * of `performance.now()`.
   */
  readonly closedByClient: Promise<number>;
  /** Resolves when the answer was sent in full. */
  readonly answered: Promise<void>;
  /** Returns whether an earlier request came on the same connection. */
  isReused(): boolean;
}

/**
 * Sends the pieces of a stream; each promise resolves when the piece is handed to the connection.
 */
interface LoopbackStream {
  /** Sends one event, as JSON. */
  push(event: unknown): Promise<void>;
  /** Sends a comment line, as OpenRouter does while it waits. */
  comment(text: string): Promise<void>;
  /** Sends bytes as they are. */
  raw(bytes: string | Uint8Array): Promise<void>;
  /** Sends `[DONE]` and ends. */
  done(): Promise<void>;
  /** Ends without `[DONE]`. */
  end(): void;
  /** Breaks the connection. */
  cut(): void;
}

/** A running provider. */
export interface LoopbackProvider extends AsyncDisposable {
  /** The base URL for `providers.<name>.baseUrl`. */
  readonly baseUrl: string;
  readonly port: number;
  /** Lists the requests in order of arrival. */
  readonly requests: readonly LoopbackRequest[];
  /** Sets how chats are answered from now on, unless a reply is queued. */
  answerWith(reply: Reply | Replier): void;
  /** Queues replies for the next chats, one each. */
  queue(...replies: readonly (Reply | Replier)[]): void;
  /** Sets how one other path, such as `/v1/models`, is answered. */
  route(path: string, reply: Reply | Replier): void;
  /** Sets the keys that are accepted; others get 401. Without it every key is. */
  acceptKeys(keys: readonly string[]): void;
  /** Resolves with the next request that nobody has been given yet. */
  nextRequest(): Promise<LoopbackRequest>;
  /** Returns the number of open connections. */
  connections(): number;
  /** Returns the number of connections that were ever made. */
  connectionsEver(): number;
  close(): Promise<void>;
}

/**
 * Starts a provider on a free port of 127.0.0.1. Chats are answered with "pong", streamed where
 * that is asked.
 */
export async function startLoopbackProvider(
  options: { readonly reply?: Reply | Replier } = {},
): Promise<LoopbackProvider> {
  const provider = new Loopback(options.reply ?? answerPong);
  await provider.listen();
  return provider;
}

/** Makes a whole completion. */
export function completionOf(content: string, more: Readonly<Record<string, unknown>> = {}): Reply {
  return {
    kind: 'json',
    body: { ...envelope('chat.completion'), choices: [wholeChoice(content)], usage: USAGE, ...more },
  };
}

/** Makes a stream with one delta for each piece, and the usage at the end. */
export function streamOf(pieces: readonly string[]): Reply {
  return { kind: 'events', events: eventsOf(pieces) };
}

/**
 * Makes the events of a stream as OpenAI sends them: the role, the pieces, the reason for the end,
 * the usage.
 */
export function eventsOf(pieces: readonly string[]): unknown[] {
  return [
    chunkOf({ role: 'assistant', content: '' }),
    ...pieces.map((content) => chunkOf({ content })),
    chunkOf({}, 'stop'),
    { ...envelope('chat.completion.chunk'), choices: [], usage: USAGE },
  ];
}

/** Makes one chunk of a stream. */
export function chunkOf(
  delta: Readonly<Record<string, unknown>>,
  finishReason: string | null = null,
): Record<string, unknown> {
  return { ...envelope('chat.completion.chunk'), choices: [{ index: 0, delta, finish_reason: finishReason }] };
}

/** Makes a refusal with OpenAI's error document. */
export function refusalOf(status: number, message: string, headers: HeaderFields = {}): Reply {
  return { kind: 'json', status, headers, body: { error: { message, type: 'test_error', code: null } } };
}

/** The usage that completions report. */
const USAGE = {
  prompt_tokens: 5,
  completion_tokens: 2,
  total_tokens: 7,
  prompt_tokens_details: { cached_tokens: 3 },
  completion_tokens_details: { reasoning_tokens: 1 },
} as const;

/** The model list. */
const MODELS = { object: 'list', data: [{ id: 'test/small' }, { id: 'test/large' }] } as const;

function envelope(object: string): Record<string, unknown> {
  return { id: 'gen-test-1', object, created: 1_700_000_000, model: 'test/small' };
}

function wholeChoice(content: string): Record<string, unknown> {
  return { index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' };
}

function answerPong(request: LoopbackRequest): Reply {
  const { body } = request;
  const wantsStream = typeof body === 'object' && body !== null && 'stream' in body && body.stream === true;
  return wantsStream ? streamOf(['po', 'ng']) : completionOf('pong');
}

class Loopback implements LoopbackProvider {
  readonly #server: Server = createServer((incoming, outgoing) => {
    this.#serve(incoming, outgoing).catch(() => outgoing.destroy());
  });
  readonly #sockets = new Set<Socket>();
  readonly #requests: LoopbackRequest[] = [];
  readonly #queued: (Reply | Replier)[] = [];
  readonly #routes = new Map<string, Reply | Replier>();
  readonly #waiting: ((request: LoopbackRequest) => void)[] = [];
  #reply: Reply | Replier;
  #keys: ReadonlySet<string> | undefined;
  #given = 0;
  #accepted = 0;

  constructor(reply: Reply | Replier) {
    this.#reply = reply;
  }

  async listen(): Promise<void> {
    this.#server.on('connection', (socket: Socket) => {
      this.#accepted += 1;
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    // Node's 5 s would close an idle connection just as a slow machine sends the next request on
    // it.
    this.#server.keepAliveTimeout = 120_000;
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#routes.set('/v1/models', { kind: 'json', body: MODELS });
    this.#routes.set('/v1/key', { kind: 'json', body: { data: { label: 'test', limit: null, usage: 0 } } });
  }

  get port(): number {
    const address: AddressInfo | string | null = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('the provider does not listen');
    return address.port;
  }

  get baseUrl(): string {
    return `http://127.0.0.1:${this.port}/v1`;
  }

  get requests(): readonly LoopbackRequest[] {
    return this.#requests;
  }

  answerWith(reply: Reply | Replier): void {
    this.#reply = reply;
  }

  queue(...replies: readonly (Reply | Replier)[]): void {
    this.#queued.push(...replies);
  }

  route(path: string, reply: Reply | Replier): void {
    this.#routes.set(path, reply);
  }

  acceptKeys(keys: readonly string[]): void {
    this.#keys = new Set(keys);
  }

  nextRequest(): Promise<LoopbackRequest> {
    const next = this.#requests[this.#given];
    this.#given += 1;
    if (next) return Promise.resolve(next);
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  connections(): number {
    return this.#sockets.size;
  }

  connectionsEver(): number {
    return this.#accepted;
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    // A client that closes the connection is what half of the tests are about.
    incoming.on('error', () => {});
    outgoing.on('error', () => {});
    const request = await readRequest(incoming, outgoing);
    this.#requests.push(request);
    const waiting = this.#waiting.shift();
    if (waiting) waiting(request);
    send(this.#choose(request), outgoing);
  }

  #choose(request: LoopbackRequest): Reply {
    const path = request.path.split('?')[0] ?? '';
    const isChat = path.endsWith('/chat/completions');
    const routed = this.#routes.get(path);
    if (this.#keys && !this.#keys.has(request.key ?? '')) return refusalOf(401, 'Incorrect API key provided');
    const chosen = isChat ? (this.#queued.shift() ?? this.#reply) : routed;
    if (!chosen) return refusalOf(404, 'no such path');
    return typeof chosen === 'function' ? chosen(request) : chosen;
  }
}

/** Counts the requests of each connection. */
const REQUESTS_OF = new WeakMap<Socket, { count: number }>();

async function readRequest(incoming: IncomingMessage, outgoing: ServerResponse): Promise<LoopbackRequest> {
  const before = REQUESTS_OF.get(incoming.socket) ?? { count: 0 };
  before.count += 1;
  REQUESTS_OF.set(incoming.socket, before);
  const closedByClient = new Promise<number>((resolve) => {
    outgoing.once('close', () => {
      if (!outgoing.writableFinished) resolve(performance.now());
    });
  });
  const answered = new Promise<void>((resolve) => {
    outgoing.once('finish', resolve);
  });
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(Buffer.from(chunk));
  const text = Buffer.concat(chunks).toString('utf8');
  const { authorization } = incoming.headers;
  const apiKey = incoming.headers['x-api-key'];
  return {
    method: incoming.method ?? '',
    path: incoming.url ?? '',
    headers: incoming.headers,
    text,
    body: parse(text),
    key: authorization?.replace(/^Bearer /, '') ?? (typeof apiKey === 'string' ? apiKey : undefined),
    stream: streamOver(outgoing),
    closedByClient,
    answered,
    isReused: () => before.count > 1,
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function streamOver(outgoing: ServerResponse): LoopbackStream {
  const raw = (bytes: string | Uint8Array): Promise<void> =>
    new Promise((resolve, reject) => {
      outgoing.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
  return {
    raw,
    push: (event) => raw(printEvent(event)),
    comment: (text) => raw(`: ${text}\n\n`),
    async done() {
      await raw('data: [DONE]\n\n');
      outgoing.end();
    },
    end: () => void outgoing.end(),
    cut: () => void outgoing.socket?.destroy(),
  };
}

function printEvent(event: unknown): string {
  return `data: ${JSON.stringify(event)}\n\n`;
}

const EVENT_STREAM = 'text/event-stream; charset=utf-8';

function send(reply: Reply, outgoing: ServerResponse): void {
  switch (reply.kind) {
    case 'json':
      outgoing.writeHead(reply.status ?? 200, { 'content-type': 'application/json', ...reply.headers });
      outgoing.end(JSON.stringify(reply.body));
      return;
    case 'text':
      outgoing.writeHead(reply.status ?? 200, { 'content-type': 'text/html', ...reply.headers });
      outgoing.end(reply.body);
      return;
    case 'events':
      outgoing.writeHead(200, { 'content-type': EVENT_STREAM, ...reply.headers });
      outgoing.write(reply.events.map(printEvent).join(''));
      if (reply.cut === true) {
        // After the bytes are out: a reset would take them along.
        outgoing.write('', () => outgoing.socket?.destroySoon());
        return;
      }
      outgoing.end(reply.done === false ? '' : 'data: [DONE]\n\n');
      return;
    case 'paced':
      outgoing.writeHead(200, { 'content-type': EVENT_STREAM, ...reply.headers });
      outgoing.flushHeaders();
      return;
    case 'stall':
      if (reply.after === 'nothing') return;
      outgoing.writeHead(200, { 'content-type': reply.type ?? EVENT_STREAM });
      outgoing.flushHeaders();
      return;
    case 'reset':
      outgoing.socket?.resetAndDestroy();
  }
}
