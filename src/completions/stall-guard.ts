/**
 * The `fetch` that the SDK is given: it sends the provider's own headers and the key, and nothing that the SDK or the
 * environment adds; it bounds time and size; and it remembers what came back, because the SDK keeps only part of it.
 *
 * The key therefore never enters the SDK.
 */

import type { Clock } from '../base/clock.ts';
import type { Secret } from '../base/secret.ts';
import { readAll } from '../providers/http.ts';
import { ExchangeFailure, openExchange, type HttpAnswer } from '../providers/http-exchange.ts';
import { parseJson } from '../providers/json-fields.ts';
import { isSendable } from '../providers/key-shape.ts';
import { requestHeaders, type Provider } from '../providers/provider.ts';
import { EventMeter } from './event-meter.ts';

/** Bounds an answer that is not streamed, in bytes. */
const MAX_WHOLE_BYTES = 64 * 1024 * 1024;

/** Bounds a stream as a whole, in bytes: a hundred thousand tokens with probabilities are a fifth of it. */
const MAX_STREAM_BYTES = 256 * 1024 * 1024;

/** Bounds an error document, in bytes. */
const MAX_REFUSAL_BYTES = 1024 * 1024;

/** Is the head of an answer; `body` is the parsed document of one that is no success. */
export interface SeenAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}

/** Is what a guard needs. */
export interface StallGuardOptions {
  readonly provider: Provider;
  readonly key: Secret | null;
  readonly stream: boolean;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Guards one request. */
export class StallGuard {
  readonly #options: StallGuardOptions;
  readonly #meter = new EventMeter();
  #answer: SeenAnswer | undefined;
  #failure: ExchangeFailure | undefined;
  #open: HttpAnswer | undefined;

  constructor(options: StallGuardOptions) {
    this.#options = options;
  }

  /** Returns what came back, once its headers did. */
  get answer(): SeenAnswer | undefined {
    return this.#answer;
  }

  /** Returns why there was no whole answer, whatever the SDK made of it. */
  get failure(): ExchangeFailure | undefined {
    return this.#failure;
  }

  /** Tells whether the stream ended with the mark for it. */
  get sawEnd(): boolean {
    return this.#meter.done;
  }

  /** Closes the connection of an answer that nobody will read to its end. */
  close(): void {
    this.#open?.close();
  }

  /** Sends one request for the SDK. */
  readonly fetch = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    try {
      return await this.#send(input instanceof Request ? input.url : String(input), init?.body);
    } catch (error) {
      if (error instanceof ExchangeFailure) this.#failure = error;
      throw error;
    }
  };

  async #send(url: string, body: unknown): Promise<Response> {
    const { provider, key, stream, clock, signal } = this.#options;
    if (typeof body !== 'string') throw new TypeError('the body of a chat request is a text');
    if (key !== null && !isSendable(key)) {
      throw new ExchangeFailure('unsendable-key', 'the key holds a character that no header can carry');
    }
    const answer = await openExchange(
      { method: 'POST', url, headers: { ...requestHeaders(provider, key), 'content-type': 'application/json' }, body },
      { waitMs: provider.timeoutMs, maxBytes: stream ? MAX_STREAM_BYTES : MAX_WHOLE_BYTES },
      { clock, signal },
    );
    this.#open = answer;
    const { status, headers } = answer;
    if (status < 200 || status > 299) {
      this.#answer = { status, headers, body: await readRefusal(answer) };
      // The SDK is told just that it failed: the document is judged here, and nowhere quoted.
      return new Response(null, { status: status > 599 || status < 200 ? 502 : status });
    }
    this.#answer = { status, headers, body: undefined };
    const type = headers['content-type'];
    // 204 and 205 have no body, and Response wants none.
    if (status === 204 || status === 205) answer.close();
    return new Response(status === 204 || status === 205 ? null : this.#pass(answer), {
      status,
      headers: type === undefined ? {} : { 'content-type': type },
    });
  }

  /** Hands the body on as it is read, one chunk at a time, so that a slow reader slows the provider down. */
  #pass(answer: HttpAnswer): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          try {
            const chunk = await answer.read();
            if (chunk === undefined) {
              this.#meter.end();
              controller.close();
              return;
            }
            if (this.#options.stream) this.#meter.count(chunk);
            controller.enqueue(chunk);
          } catch (error) {
            if (error instanceof ExchangeFailure) this.#failure = error;
            answer.close();
            throw error;
          }
        },
        cancel: () => {
          // The SDK cancels at the mark of the end, a moment before the connection is free again.
          if (this.#meter.done) void answer.finish();
          else answer.close();
        },
      },
      { highWaterMark: 0 },
    );
  }
}

/** Returns the error document, or undefined where there is none that can be read: the status says enough then. */
async function readRefusal(answer: HttpAnswer): Promise<unknown> {
  try {
    return parseJson(await readAll(answer, MAX_REFUSAL_BYTES));
  } catch (error) {
    if (error instanceof ExchangeFailure && error.kind !== 'aborted') return undefined;
    throw error;
  }
}
