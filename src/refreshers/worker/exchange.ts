/**
 * Sends the requests of both OAuth libraries and keeps the facts of the last answer, so that one rule judges them all.
 *
 * Secrets go to https, or to this machine itself, and nowhere else: redirects are not followed. Answers are read up to a
 * limit, within a time limit that is generous, because giving up on an answer can lose a rotated refresh token.
 *
 * Why there is a second way of sending beside the daemon's (providers/http-exchange.ts): both libraries take a `fetch` and
 * nothing else, a worker sends one or two short requests in its life, and needs neither kept connections nor streams;
 * loading the daemon's would make each worker start later.
 */

import { isRecord, parseJson, type JsonObject } from '../../base/json.ts';
import { describeCertificateFailure } from '../../base/network.ts';
import { parseRetryAfter } from '../../base/retry-after.ts';
import { isSafeEndpoint } from '../provider-presets.ts';
import { normalizeDeviceAnswer, normalizeTokenAnswer, spokenError, type ExchangeAnswer } from './token-answer.ts';

/** Longest wait for a whole answer, in milliseconds. */
export const ANSWER_LIMIT_MS = 60_000;

/** Longest answer that is read, in bytes: real ones have a few thousand. */
const MAX_ANSWER_BYTES = 1024 * 1024;

/** How requests are sent. */
export interface ExchangeOptions {
  readonly fetch: typeof fetch;
  readonly now: () => number;
  /** Field of a token answer that can hold the tokens; see ProviderSettings. */
  readonly nestedAnswer?: string | undefined;
  readonly answerLimitMs?: number;
}

/** Sends requests, one after the other. */
export class Exchange {
  readonly #options: ExchangeOptions;
  #facts: ExchangeAnswer = { kind: 'none', reason: 'nothing was sent' };

  constructor(options: ExchangeOptions) {
    this.#options = options;
  }

  /** Facts of the last request. */
  get facts(): ExchangeAnswer {
    return this.#facts;
  }

  /** Sends one request, as `fetch` does; a token answer arrives in the shape of RFC 6749, whatever the provider sent. */
  readonly fetch = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const url = input instanceof Request ? input.url : String(input);
    if (!isSafeEndpoint(url)) return this.#fail('the address is neither https nor on this machine');
    const { host, origin, pathname } = new URL(url);
    let response: Response;
    let body: Uint8Array | undefined;
    try {
      response = await this.#options.fetch(url, {
        ...init,
        redirect: 'manual',
        signal: AbortSignal.timeout(this.#options.answerLimitMs ?? ANSWER_LIMIT_MS),
      });
      body = await readBody(response);
    } catch (error) {
      return this.#fail(describeFailure(error, host));
    }
    if (body === undefined) return this.#fail(`the answer of ${host} is too long`);
    const document = parseBody(body, response.headers.get('content-type') ?? '');
    const at = this.#options.now();
    const retryAfterMs = parseRetryAfter(response.headers.get('retry-after'), at);
    const address = `${origin}${pathname}`;
    this.#facts = { kind: 'answer', status: response.status, address, document, retryAfterMs, at };
    return this.#shape(response, body, document, at);
  };

  /** Turns a 200 that holds an error into a refusal, and a provider's own kind of token answer into the standard one. */
  #shape(response: Response, body: Uint8Array, document: JsonObject | null, at: number): Response {
    const headers = new Headers({ 'content-type': 'application/json' });
    const challenge = response.headers.get('www-authenticate');
    if (challenge !== null) headers.set('www-authenticate', challenge);
    const status = safeStatus(response.status);
    if (document === null) return new Response(body.length === 0 ? null : Buffer.from(body), { status, headers });
    if (!response.ok) return Response.json(document, { status, headers });
    const tokens = normalizeTokenAnswer(document, this.#options.nestedAnswer, at);
    if (tokens !== undefined) return Response.json(tokens, { status: 200, headers });
    const spoken = spokenError(document);
    if (spoken !== undefined) return Response.json({ error: spoken.code }, { status: 400, headers });
    // A client that was registered comes with 201, which the library insists on.
    return Response.json(normalizeDeviceAnswer(document), { status: status === 201 ? 201 : 200, headers });
  }

  #fail(reason: string): never {
    this.#facts = { kind: 'none', reason };
    throw new Error(reason);
  }
}

/** Returns a status that a Response can be made with; a redirect (which is not followed) becomes 502. */
function safeStatus(status: number): number {
  return status >= 200 && status < 600 && (status < 300 || status >= 400) && status !== 204 && status !== 205
    ? status
    : 502;
}

/** Reads a body up to the limit; returns undefined for a longer one. */
async function readBody(response: Response): Promise<Uint8Array | undefined> {
  if (response.body === null) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body) {
    length += chunk.length;
    if (length > MAX_ANSWER_BYTES) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Parses a JSON object, with or without a byte order mark, or a form, which some providers answer with. */
function parseBody(body: Uint8Array, contentType: string): JsonObject | null {
  const text = new TextDecoder().decode(body);
  const value = parseJson(text);
  if (isRecord(value)) return value;
  const isForm =
    contentType.includes('application/x-www-form-urlencoded') || /^(?:access_token|error)=[^<>\s]*$/.test(text);
  return isForm && value === undefined ? Object.fromEntries(new URLSearchParams(text)) : null;
}

/** Describes in a few fixed words why no answer came: a library's error text can quote the request. */
function describeFailure(error: unknown, host: string): string {
  if (error instanceof Error && error.name === 'TimeoutError') return `the provider (${host}) did not answer in time`;
  const cause = error instanceof Error ? error.cause : undefined;
  const code = typeof cause === 'object' && cause !== null && 'code' in cause ? cause.code : undefined;
  const certificate = typeof code === 'string' ? describeCertificateFailure(code, host) : undefined;
  if (certificate !== undefined) return `${certificate.problem}: ${certificate.hint}`;
  const word = typeof code === 'string' && /^[A-Z0-9_]{2,48}$/.test(code) ? `: ${code}` : '';
  return `the provider could not be reached (${host}${word})`;
}
