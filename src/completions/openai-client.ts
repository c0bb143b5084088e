/**
 * Sends chat requests through the `openai` package, of which this file is the only owner.
 *
 * It is loaded with the first completion, because loading costs a daemon that never completes anything 200 ms and 19 MB.
 * Every option that it would take from the environment is set here. A client holds no key and no connection, and making
 * one costs less than a tenth of a millisecond: so each request has its own.
 */

import type * as OpenAISdk from 'openai';
import { ErrorInAnswer, GarbageAnswer } from './failure.ts';

/** Is what the SDK is told of one request. */
export interface ChatRequest {
  readonly baseUrl: string;
  readonly body: Readonly<Record<string, unknown>>;
  readonly stream: boolean;
  /** Does the sending, with its own headers and limits; see stall-guard.ts. */
  readonly fetch: typeof fetch;
}

/** Is an answer with a 2xx status: one document, or chunks as they come. None of it is checked. */
export type ChatAnswer =
  | { readonly kind: 'whole'; readonly document: unknown }
  | { readonly kind: 'stream'; readonly chunks: AsyncIterable<unknown> };

/** Is the longest delay a timer takes: the limits are the guard's, the SDK's own must never be the first. */
const NEVER_MS = 2_147_483_647;

type Sdk = typeof OpenAISdk;

let loading: Promise<Sdk> | undefined;

function loadSdk(): Promise<Sdk> {
  loading ??= import('openai').finally(() => {
    // The one variable that no option overrides: a malformed one would fail every request.
    delete process.env['OPENAI_CUSTOM_HEADERS'];
  });
  return loading;
}

/**
 * Sends one chat request, once.
 *
 * A server that answers a request for a stream with one JSON document is taken at its word.
 *
 * @throws what `fetch` throws, as it is or as a cause; ErrorInAnswer and GarbageAnswer for what comes in the answer, also
 * while the chunks are read; an error of the SDK for a status that is no success.
 */
export async function requestChat(request: ChatRequest): Promise<ChatAnswer> {
  const sdk = await loadSdk();
  const client = new sdk.OpenAI({
    baseURL: request.baseUrl,
    apiKey: 'unused',
    adminAPIKey: null,
    organization: null,
    project: null,
    webhookSecret: null,
    maxRetries: 0,
    timeout: NEVER_MS,
    logLevel: 'off',
    fetch: request.fetch,
  });
  const translate = (error: unknown): unknown => translateError(error, sdk);
  const { body, stream } = request;
  try {
    if (!stream) return readWhole(await client.post<unknown>('/chat/completions', { body }));
    const call = client.post<AsyncIterable<unknown>>('/chat/completions', { body, stream });
    const response = await call.asResponse();
    const type = response.headers.get('content-type') ?? '';
    if (/\bjson\b/i.test(type)) return readWhole(await response.json());
    if (/\bhtml\b/i.test(type)) throw new GarbageAnswer('a web page');
    return { kind: 'stream', chunks: translated(await call, translate) };
  } catch (error) {
    throw translate(error);
  }
}

function readWhole(document: unknown): ChatAnswer {
  if (document === undefined || document === null || document === '') throw new GarbageAnswer('nothing');
  // The SDK gives the text of whatever is not declared as JSON.
  if (typeof document === 'string') {
    throw new GarbageAnswer(/^\s*</.test(document) ? 'a web page' : 'a text that is no JSON');
  }
  return { kind: 'whole', document };
}

async function* translated(
  chunks: AsyncIterable<unknown>,
  translate: (error: unknown) => unknown,
): AsyncGenerator<unknown, void, undefined> {
  try {
    yield* chunks;
  } catch (error) {
    throw translate(error);
  }
}

/** Turns what the SDK throws about the content of an answer into our own kinds; everything else stays as it is. */
function translateError(error: unknown, sdk: Sdk): unknown {
  if (error instanceof SyntaxError) return new GarbageAnswer('JSON that cannot be read');
  // Inside a stream the SDK throws errors of the provider without a status.
  if (error instanceof sdk.APIError && !(error instanceof sdk.APIConnectionError) && error.status === undefined) {
    return new ErrorInAnswer(error.error);
  }
  return error;
}
