/**
 * Sends the requests of both OAuth libraries and keeps the facts of the last answer, so that one
 * rule judges them all.
 *
 * Secrets go to https, or to this machine itself, and nowhere else: redirects are not followed.
 * Answers are read up to a limit, within a generous time. Giving up on an answer can lose a rotated
 * refresh token.
 *
 * It is a second way of sending beside the daemon's (providers/http-exchange.ts), because both
 * libraries take a `fetch`, and make its `Response`. So each worker loads Node's own HTTP client
 * (some 40 ms of CPU). The daemon's would come on top (7 ms), for kept connections and streams that
 * one or two short requests do not need.
 */

import type { Clock } from '../../base/clock.ts';
import { systemErrorCode } from '../../base/errors.ts';
import { isRecord, parseJson, type JsonObject } from '../../base/json.ts';
import { describeCertificateFailure, usesProxy } from '../../base/network.ts';
import { parseRetryAfter } from '../../base/retry-after.ts';
import { isSafeEndpoint } from '../provider-presets.ts';
import type { ExchangeAnswer } from './token-answer.ts';

/** Longest wait for a whole answer, in milliseconds. */
const ANSWER_LIMIT_MS = 60_000;

/** Longest answer that is read, in bytes: real ones have a few thousand. */
const MAX_ANSWER_BYTES = 1024 * 1024;

/** Wiring of an exchange; tests inject a clock and a fetch. */
export interface ExchangeDeps {
  readonly clock: Pick<Clock, 'now'>;
  readonly fetch: typeof fetch;
}

/** Sends requests, one after the other. */
export class Exchange {
  readonly #deps: ExchangeDeps;
  #facts: ExchangeAnswer = { kind: 'none', reason: 'nothing was sent' };

  constructor(deps: ExchangeDeps) {
    this.#deps = deps;
  }

  get facts(): ExchangeAnswer {
    return this.#facts;
  }

  /**
   * Sends one request, as `fetch` does. The libraries get the answer's document as JSON; what it
   * means is judged by the facts.
   */
  readonly fetch = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const url = input instanceof Request ? input.url : String(input);
    if (!isSafeEndpoint(url)) return this.#fail('the address is neither https nor on this machine');
    const { host, origin, pathname } = new URL(url);
    let response: Response;
    let body: AnswerBody;
    try {
      const signal = AbortSignal.timeout(ANSWER_LIMIT_MS);
      response = await this.#deps.fetch(url, { ...init, redirect: 'manual', signal });
      body = await readBody(response);
    } catch (error) {
      return this.#fail(describeFailure(error, host));
    }
    const { bytes, failure } = body;
    if (bytes === undefined) return this.#fail(`the answer of ${host} is too long`);
    const contentType = response.headers.get('content-type') ?? '';
    const document = parseBody(decodeText(bytes, contentType), contentType, failure === undefined);
    // A document that is whole counts, also where the connection broke behind it: it can hold a
    // rotated refresh token.
    if (failure !== undefined && document === null) return this.#fail(describeFailure(failure, host));
    const at = this.#deps.clock.now();
    const retryAfterMs = parseRetryAfter(response.headers.get('retry-after'), at);
    const address = `${origin}${pathname}`;
    this.#facts = { kind: 'answer', status: response.status, address, document, retryAfterMs, at };
    const challenge = response.headers.get('www-authenticate');
    const headers = { 'content-type': 'application/json', ...(challenge ? { 'www-authenticate': challenge } : {}) };
    // Other statuses of success, and those that nobody defines, cannot be made with a body.
    const status = response.ok ? 200 : Math.min(response.status, 599);
    return new Response(document === null ? null : JSON.stringify(document), { status, headers });
  };

  #fail(reason: string): never {
    this.#facts = { kind: 'none', reason };
    throw new Error(reason);
  }
}

/** Body of an answer, undefined where that is too long, and why the rest did not come. */
interface AnswerBody {
  readonly bytes: Uint8Array | undefined;
  readonly failure?: unknown;
}

async function readBody(response: Response): Promise<AnswerBody> {
  const chunks: Uint8Array[] = [];
  if (response.body === null) return { bytes: new Uint8Array() };
  // An MCP server may answer so, and leave the stream open: there is no document to come.
  if (/^text\/event-stream\b/i.test(response.headers.get('content-type') ?? '')) {
    await response.body.cancel();
    return { bytes: new Uint8Array() };
  }
  let length = 0;
  try {
    for await (const chunk of response.body) {
      length += chunk.length;
      if (length > MAX_ANSWER_BYTES) return { bytes: undefined };
      chunks.push(chunk);
    }
  } catch (failure) {
    return { bytes: Buffer.concat(chunks), failure };
  }
  return { bytes: Buffer.concat(chunks) };
}

/**
 * Decodes a text by its byte order mark, else by its announced charset, else as UTF-8; compressed
 * bytes that nobody announced are expanded.
 */
function decodeText(bytes: Uint8Array, contentType: string): string {
  const [first, second] = bytes;
  if (first === 0x1f && second === 0x8b) return decodeText(gunzip(bytes), contentType);
  if (first === 0xff && second === 0xfe) return new TextDecoder('utf-16le').decode(bytes);
  if (first === 0xfe && second === 0xff) return new TextDecoder('utf-16be').decode(bytes);
  const charset = /charset="?([\w.:-]+)/i.exec(contentType)?.[1] ?? 'utf-8';
  try {
    return new TextDecoder(charset).decode(bytes);
  } catch {
    return new TextDecoder().decode(bytes);
  }
}

function gunzip(bytes: Uint8Array): Uint8Array {
  try {
    return process.getBuiltinModule('node:zlib').gunzipSync(bytes, { maxOutputLength: MAX_ANSWER_BYTES });
  } catch {
    return new Uint8Array();
  }
}

/** Matches a form whose content type is another one. */
const FORM = /^(?:[\w.-]+=[^\s<>{}&]*&)*(?:access_token|error)=[^\s<>{}]*$/;

/**
 * Parses a JSON object, or a form, which some providers answer with. Of an answer that is not whole
 * only JSON counts, because a form does not show where it was cut.
 */
function parseBody(body: string, contentType: string, isWhole: boolean): JsonObject | null {
  const text = body.trim();
  const value = parseJson(text);
  const document = toObject(typeof value === 'string' ? parseJson(value) : value);
  if (document !== null) return document;
  const isForm = /application\/x-www-form-urlencoded/i.test(contentType) || FORM.test(text);
  if (isForm && isWhole && value === undefined) return Object.fromEntries(new URLSearchParams(text));
  // A guard against scripts, a callback or a NUL byte around the object; a page in HTML holds none
  // that is meant.
  if (value !== undefined || text.startsWith('<')) return null;
  return toObject(parseJson(text.slice(text.indexOf('{'), text.lastIndexOf('}') + 1)));
}

function toObject(value: unknown): JsonObject | null {
  const [only, ...more] = Array.isArray(value) ? (value as readonly unknown[]) : [value];
  return isRecord(only) && more.length === 0 ? only : null;
}

/** Describes in fixed words why no answer came: a library's error text can quote the request. */
function describeFailure(error: unknown, host: string): string {
  if (error instanceof Error && error.name === 'TimeoutError') return `the provider (${host}) did not answer in time`;
  const code = error instanceof Error ? systemErrorCode(error.cause) : undefined;
  const certificate = code === undefined ? undefined : describeCertificateFailure(code, host);
  if (certificate !== undefined) return `${certificate.problem}: ${certificate.hint}`;
  const word = code !== undefined && /^[A-Z0-9_]{2,48}$/.test(code) ? `: ${code}` : '';
  const onTheWay = usesProxy() ? '; a proxy is set, and may be the reason' : '';
  return `the provider could not be reached (${host}${word})${onTheWay}`;
}
