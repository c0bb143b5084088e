/**
 * The ways to a provider that the benchmark of the gateway compares. Two kinds of clients ask: the
 * openai package, as programs do, and a generator that takes 15 µs for a request.
 */

import OpenAI from 'openai';
import { createGatewayFetch, GATEWAY_HOST } from '../src/client/gateway-fetch.ts';
import type { Aipass } from '../src/client/index.ts';
import { AIPASSD, Asker } from './asker.ts';
import { HttpAsker, type Address, type Times } from './http-asker.ts';

const MESSAGES = [{ role: 'user' as const, content: 'ping '.repeat(20) }];

/** A client that is ready to ask. */
export interface OpenWay {
  ask(isStream: boolean): Promise<Times>;
  close(): void;
}

/** A way to the provider, asked by one kind of client. */
export interface Way {
  readonly name: string;
  /** Whether it answers streams. */
  readonly streams: boolean;
  /** Whether it is another gateway, which is left out where it fails. */
  readonly isPeer: boolean;
  readonly open: () => Promise<OpenWay>;
}

/** An HTTP server on a way to the provider. */
export interface HttpTarget extends Pick<Way, 'name' | 'streams' | 'isPeer'> {
  readonly address: Address;
  /** The base path of the dialect: `/v1`, or `/<provider>/v1`. */
  readonly base: string;
  /** Bearer token. */
  readonly token: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Asks over HTTP by the generator: one connection, the request as a text. */
export function generatorWay({ name, streams, isPeer, address, base, token, headers }: HttpTarget): Way {
  const host = 'path' in address ? 'localhost' : `${address.host}:${address.port}`;
  const fields = { host, authorization: `Bearer ${token}`, ...headers, 'content-type': 'application/json' };
  const print = (isStream: boolean): string => {
    const body = JSON.stringify({ model: 'bench', messages: MESSAGES, ...(isStream ? { stream: true } : {}) });
    const head = Object.entries({ ...fields, 'content-length': body.length }).map(
      ([field, value]) => `${field}: ${value}`,
    );
    return `POST ${base}/chat/completions HTTP/1.1\r\n${head.join('\r\n')}\r\n\r\n${body}`;
  };
  const texts = [print(false), print(true)] as const;
  return {
    name,
    streams,
    isPeer,
    open: async () => {
      const asker = await HttpAsker.open(address);
      return { ask: (isStream) => asker.ask(texts[isStream ? 1 : 0]), close: () => asker.close() };
    },
  };
}

/** Asks over node-ipc by the generator. */
export function generatorIpcWay(name: string, path: string): Way {
  return {
    name,
    streams: true,
    isPeer: false,
    open: async () => {
      const asker = await Asker.open(path, AIPASSD);
      let id = 0;
      return {
        ask: (isStream) => {
          id += 1;
          const params = { model: 'bench', messages: MESSAGES, stream: isStream };
          const data = { id, op: 'completion.create', params };
          return asker.untilReply(`${JSON.stringify({ type: 'request', data })}\f`);
        },
        close: () => asker.close(),
      };
    },
  };
}

/**
 * Asks over HTTP by the openai package. It reaches a Unix socket by the `fetch` that
 * `aipass.openai()` gives it.
 */
export function packageWay({ name, streams, isPeer, address, base, token, headers }: HttpTarget): Way {
  const isSocket = 'path' in address;
  const openai = new OpenAI({
    apiKey: token,
    maxRetries: 0,
    defaultHeaders: headers,
    baseURL: isSocket ? `http://${GATEWAY_HOST}${base}` : `http://${address.host}:${address.port}${base}`,
    ...(isSocket
      ? { fetch: createGatewayFetch({ socket: address.path, caller: undefined, session: 'bench' }).fetch }
      : {}),
  });
  const request = { model: 'bench', messages: MESSAGES };
  return clientWay(
    { name, streams, isPeer },
    () => openai.chat.completions.create(request),
    () => openai.chat.completions.create({ ...request, stream: true }),
  );
}

/** Asks over node-ipc by the client library. */
export function libraryWay(name: string, aipass: Aipass): Way {
  const params = { model: 'bench', messages: MESSAGES };
  return clientWay(
    { name, streams: true, isPeer: false },
    () => aipass.complete(params),
    () => Promise.resolve(aipass.stream(params)),
  );
}

/** A client that keeps its connections by itself, and is shared by all who ask at once. */
function clientWay(
  names: Pick<Way, 'name' | 'streams' | 'isPeer'>,
  complete: () => Promise<unknown>,
  stream: () => Promise<AsyncIterable<unknown>>,
): Way {
  const ask = async (isStream: boolean): Promise<Times> => {
    const began = performance.now();
    let first = 0;
    if (isStream) {
      const chunks = (await stream())[Symbol.asyncIterator]();
      while ((await chunks.next()).done !== true) first ||= performance.now() - began;
    } else await complete();
    return { first, whole: performance.now() - began };
  };
  return { ...names, open: () => Promise.resolve({ ask, close: () => {} }) };
}
