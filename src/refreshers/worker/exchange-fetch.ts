/**
 * Sends the requests of both OAuth libraries and keeps the facts of the last answer, so that one rule judges them all.
 *
 * Secrets go to https, or to this machine itself, and nowhere else: redirects are not followed. Answers are read up to a
 * limit, within a time limit that is generous, because giving up on an answer can lose a rotated refresh token.
 */

import { isSafeEndpoint } from '../parse-settings.ts';
import { isJsonObject, type JsonObject } from '../json-fields.ts';
import { normalizeDeviceAnswer } from './device-start.ts';
import type { AnswerFacts } from './judge.ts';
import { normalizeTokenAnswer, spokenError } from './token-answer.ts';

/** Is the longest wait for a whole answer, in milliseconds. */
export const ANSWER_LIMIT_MS = 60_000;

/** Is the longest answer that is read, in bytes: real ones have a few thousand. */
const MAX_ANSWER_BYTES = 1024 * 1024;

/** Says how requests are sent. */
export interface ExchangeOptions {
  readonly fetch: typeof fetch;
  readonly now: () => number;
  /** Is the field of a token answer that can hold the tokens; see ProviderSettings. */
  readonly nestedAnswer?: string | undefined;
  readonly answerLimitMs?: number;
}

/** Sends requests, one after the other. */
export class ExchangeFetch {
  readonly #options: ExchangeOptions;
  #facts: AnswerFacts = { kind: 'none', reason: 'nothing was sent' };

  constructor(options: ExchangeOptions) {
    this.#options = options;
  }

  /** Returns the facts of the last request. */
  get facts(): AnswerFacts {
    return this.#facts;
  }

  /** Sends one request, as `fetch` does; a token answer arrives in the shape of RFC 6749, whatever the provider sent. */
  readonly fetch = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const url = input instanceof Request ? input.url : String(input);
    if (!isSafeEndpoint(url)) return this.#fail('the address is neither https nor on this machine');
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
      return this.#fail(describeFailure(error));
    }
    if (body === undefined) return this.#fail('the answer is too long');
    const document = parseObject(body);
    const retryAfterMs = parseRetryAfter(response.headers.get('retry-after'), this.#options.now());
    this.#facts = { kind: 'answer', status: response.status, document, retryAfterMs };
    return this.#shape(response, body, document);
  };

  /** Turns a 200 that holds an error into a refusal, and a provider's own kind of token answer into the standard one. */
  #shape(response: Response, body: Uint8Array, document: JsonObject | null): Response {
    const headers = { 'content-type': 'application/json' };
    if (document === null)
      return new Response(body.length === 0 ? null : Buffer.from(body), { status: safeStatus(response.status) });
    if (!response.ok) return Response.json(document, { status: safeStatus(response.status), headers });
    const tokens = normalizeTokenAnswer(document, this.#options.nestedAnswer);
    if (tokens !== undefined) return Response.json(tokens, { status: 200, headers });
    const spoken = spokenError(document);
    if (spoken !== undefined) return Response.json({ error: spoken.code }, { status: 400, headers });
    return Response.json(normalizeDeviceAnswer(document), { status: 200, headers });
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

function parseObject(body: Uint8Array): JsonObject | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(body).toString('utf8'));
    return isJsonObject(value) ? value : null;
  } catch {
    return null;
  }
}

/** Reads Retry-After (RFC 9110 §10.2.3): seconds, or a date. Returns milliseconds, or undefined. */
export function parseRetryAfter(value: string | null, now: number): number | undefined {
  if (value === null) return undefined;
  if (/^\d{1,9}$/.test(value.trim())) return Number(value.trim()) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

/** Says in a few fixed words why no answer came: a foreign error's text can quote the request. */
function describeFailure(error: unknown): string {
  if (error instanceof Error && error.name === 'TimeoutError') return 'the provider did not answer in time';
  const cause = error instanceof Error ? error.cause : undefined;
  const code = typeof cause === 'object' && cause !== null && 'code' in cause ? cause.code : undefined;
  const word = typeof code === 'string' && /^[A-Z0-9_]{2,48}$/.test(code) ? ` (${code})` : '';
  return `the provider could not be reached${word}`;
}
