import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { ProviderConfig } from '../../../src/base/config-schema.ts';
import { systemClock, type Clock } from '../../../src/base/clock.ts';
import { AipassError } from '../../../src/base/errors.ts';
import { Redactor } from '../../../src/base/redactor.ts';
import { Secret } from '../../../src/base/secret.ts';
import { Forwarder, type ForwarderDeps } from '../../../src/completions/forwarder.ts';
import type { ForwardOutcome, ForwardRequest, ForwardSink } from '../../../src/completions/forwarding.ts';
import type { KeyLease, LeaseOutcome } from '../../../src/pools/lease.ts';
import { createProviders } from '../../../src/providers/registry.ts';
import type { RawEvent } from '../../../src/usage/event.ts';
import { portOf } from '../../support/port-of.ts';

/** A request as it arrived at the provider. */
export interface Arrived {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** Resolves when the client closed the connection before the answer was complete. */
  readonly closed: Promise<number>;
}

/** Answers a request; the number counts from 1. */
export type Answerer = (response: ServerResponse, request: Arrived, count: number) => void;

/** What a client has received. */
export class Received implements ForwardSink {
  status: number | undefined;
  headers: Readonly<Record<string, string>> = {};
  readonly chunks: Buffer[] = [];
  state: 'open' | 'ended' | 'aborted' = 'open';
  /** Set by a test to hold bytes back. */
  room: (() => Promise<void> | void) | undefined;

  head(status: number, headers: Readonly<Record<string, string>>): void {
    if (this.status !== undefined) throw new Error('a second head');
    this.status = status;
    this.headers = headers;
  }

  write(bytes: Buffer): Promise<void> | void {
    if (this.status === undefined || this.state !== 'open') throw new Error('bytes outside an answer');
    this.chunks.push(bytes);
    return this.room?.();
  }

  async end(last: Buffer): Promise<void> {
    if (last.length > 0) await this.write(last);
    this.state = 'ended';
  }

  abort(): void {
    this.state = 'aborted';
  }

  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }

  get text(): string {
    return this.bytes.toString();
  }
}

/** A forwarder over a provider on loopback. `await using` closes it. */
export interface ForwardFixture extends AsyncDisposable {
  readonly forwarder: Forwarder;
  readonly arrived: Arrived[];
  readonly recorded: RawEvent[];
  readonly settled: LeaseOutcome[];
  readonly redactor: Redactor;
  answerWith(answer: Answerer): void;
  /** Forwards a request, a small chat unless it is said otherwise. */
  forward(
    request?: Partial<ForwardRequest>,
    control?: { signal?: AbortSignal; sink?: Received },
  ): Promise<{ outcome: ForwardOutcome; sink: Received }>;
}

/** Key number `n` of the fixture; it may show up at the provider only. */
export const keyOf = (n: number): string => `sk-canary-${n}-${'0123456789abcdef'.repeat(2)}`;

/** Starts one; the provider `acme` speaks all dialects on one address. */
export async function startForward(
  options: {
    keys?: number;
    config?: Partial<ProviderConfig>;
    clock?: Clock;
    retry?: boolean;
  } = {},
): Promise<ForwardFixture> {
  const arrived: Arrived[] = [];
  const recorded: RawEvent[] = [];
  const settled: LeaseOutcome[] = [];
  const redactor = new Redactor();
  let answer = json({});
  const server = createServer((incoming, outgoing) => {
    incoming.on('error', () => {});
    outgoing.on('error', () => {});
    void collect(incoming, outgoing).then((request) => {
      arrived.push(request);
      answer(outgoing, request, arrived.length);
    });
  });
  server.keepAliveTimeout = 120_000;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const baseUrl = `http://127.0.0.1:${portOf(server)}`;
  const keyCount = options.keys ?? 1;
  const keysAt = (baseUrlOfKeys: string | null): ReturnType<ForwarderDeps['keysOf']> => ({
    lease({ provider, exclude }): KeyLease {
      for (let n = 1; n <= keyCount; n += 1) {
        const keyId = `ACME_API_KEY_${n}`;
        if (exclude?.has(keyId)) continue;
        const value = new Secret(keyOf(n));
        return { provider, keyId, value, baseUrl: baseUrlOfKeys, settle: (outcome) => settled.push(outcome) };
      }
      throw new AipassError('POOL_EXHAUSTED', 'no key is free', { retryAfterMs: 1000 });
    },
    acquire(request) {
      return Promise.try(() => this.lease(request));
    },
  });
  const forwarder = new Forwarder({
    providers: createProviders({
      providers: {
        acme: {
          baseUrl: `${baseUrl}/v1`,
          dialects: { anthropic: { baseUrl }, gemini: { baseUrl } },
          ...options.config,
        },
        spare: { baseUrl: `${baseUrl}/spare/v1`, needsKey: false },
        mute: { baseUrl: 'http://127.0.0.1:9/v1' },
      },
    }),
    keysOf: (name) => keysAt(name === 'elsewhere' ? `${baseUrl}/elsewhere` : null),
    redactor,
    clock: options.clock ?? systemClock,
    defaultProvider: 'acme',
    retry: {
      attempts: options.retry === true ? 3 : 1,
      backoff: { firstMs: 1, maxMs: 2, jitter: 0 },
      random: () => 0,
    },
    record: (event) => recorded.push(event),
  });
  return {
    forwarder,
    arrived,
    recorded,
    settled,
    redactor,
    answerWith: (next) => {
      answer = next;
    },
    async forward(request = {}, { signal = new AbortController().signal, sink = new Received() } = {}) {
      const outcome = await forwarder.forward(
        {
          provider: 'acme',
          dialect: 'openai',
          method: 'POST',
          path: '/chat/completions',
          query: '',
          headers: { 'content-type': 'application/json' },
          body: Buffer.from('{"model":"m","messages":[]}'),
          caller: { caller: 'test', session: 's1' },
          ...request,
        },
        sink,
        signal,
      );
      return { outcome, sink };
    },
    async [Symbol.asyncDispose]() {
      forwarder.stop();
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

async function collect(incoming: IncomingMessage, outgoing: ServerResponse): Promise<Arrived> {
  const closed = new Promise<number>((resolve) => {
    outgoing.once('close', () => {
      if (!outgoing.writableFinished) resolve(performance.now());
    });
  });
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(Buffer.from(chunk));
  return {
    method: incoming.method ?? '',
    url: incoming.url ?? '',
    headers: incoming.headers,
    body: Buffer.concat(chunks),
    closed,
  };
}

/** Answers with a document. */
export function json(document: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): Answerer {
  return (response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(JSON.stringify(document));
  };
}

/** Answers with a stream of events, as text. */
export function events(text: string): Answerer {
  return (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.end(text);
  };
}

/** Returns one event as text. */
export const eventOf = (document: unknown, type?: string): string =>
  `${type === undefined ? '' : `event: ${type}\n`}data: ${JSON.stringify(document)}\n\n`;
