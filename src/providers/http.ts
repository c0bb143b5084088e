/**
 * Asks a provider for a JSON document, with a bound on time and size. Such are model lists, key
 * checks and records of generations; completions are not.
 */

import { BytePieces } from '../base/byte-pieces.ts';
import { parseJson } from '../base/json.ts';
import { systemClock, type Clock } from '../base/clock.ts';
import type { Secret } from '../base/secret.ts';
import { describeForeignKey, foreignOwnerOf, isSendable } from './key-shape.ts';
import { ExchangeFailure, openExchange, type HttpAnswer } from './http-exchange.ts';
import { requestHeaders, type Provider } from './provider.ts';
import { describeFailedExchange } from './refusal.ts';

/** Longest document that is read, in bytes: the largest model list is a twentieth of it. */
const MAX_DOCUMENT_BYTES = 16 * 1024 * 1024;

/** Time limit of one such request as a whole, in milliseconds: a user waits at a terminal. */
const MAX_TOTAL_MS = 30_000;

/** An answer; `body` is undefined where it is not JSON. */
export interface JsonAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}

/**
 * Sends one request with the provider's headers and the key, and returns its answer whatever the
 * status.
 *
 * @throws AipassError PROVIDER_UNAVAILABLE, TIMED_OUT or CANCELLED where there is no answer,
 * BAD_REQUEST for a key that no header can carry.
 */
export async function askJson(
  provider: Provider,
  key: Secret | null,
  request: { readonly method: 'GET' | 'POST'; readonly url: string; readonly body?: string },
  signal: AbortSignal,
  clock: Clock = systemClock,
): Promise<JsonAnswer> {
  const totalMs = Math.min(provider.timeoutMs, MAX_TOTAL_MS);
  const deadline = new AbortController();
  const stop = clock.after(totalMs, () => deadline.abort());
  try {
    if (key !== null) assertSendable(key);
    const owner = key === null ? undefined : foreignOwnerOf(provider, key);
    if (owner !== undefined) throw new ExchangeFailure('unsendable-key', describeForeignKey(provider.name, owner));
    const { body = request.method === 'POST' ? '' : undefined } = request;
    const isJson = body !== undefined && body !== '';
    const full = {
      method: request.method,
      url: request.url,
      headers: { ...requestHeaders(provider, key), ...(isJson ? { 'content-type': 'application/json' } : {}) },
      ...(body === undefined ? {} : { body }),
      lookup: provider.lookup,
    };
    const limits = { waitMs: totalMs, maxBytes: MAX_DOCUMENT_BYTES };
    const control = { clock, signal: AbortSignal.any([signal, deadline.signal]) };
    const answer = await openExchange(full, limits, control);
    const bytes = await readBytes(answer, MAX_DOCUMENT_BYTES, totalMs);
    return { status: answer.status, headers: answer.headers, body: parseJson(new TextDecoder().decode(bytes)) };
  } catch (error) {
    if (!(error instanceof ExchangeFailure)) throw error;
    throw describeFailedExchange(
      deadline.signal.aborted && !signal.aborted
        ? new ExchangeFailure('timeout', `no whole answer within ${totalMs} ms`)
        : error,
      provider.name,
    );
  } finally {
    stop();
  }
}

/**
 * Asks for the record of a generation, OpenRouter's `GET /generation?id=…`, whatever the status of
 * the answer. Throws as askJson does.
 */
export function fetchGeneration(
  provider: Provider,
  key: Secret,
  generationId: string,
  signal: AbortSignal,
  clock: Clock = systemClock,
): Promise<JsonAnswer> {
  const url = new URL(`${provider.baseUrl}/generation`);
  url.searchParams.set('id', generationId);
  return askJson(provider, key, { method: 'GET', url: url.href }, signal, clock);
}

/** @throws ExchangeFailure for a key that no header can carry. */
export function assertSendable(key: Secret): void {
  if (isSendable(key)) return;
  throw new ExchangeFailure('unsendable-key', 'the key holds a character that no header can carry');
}

/**
 * Returns the whole body, which has to come within `totalMs`.
 *
 * @throws ExchangeFailure also for a body longer than `maxBytes`, which closes the connection.
 */
export async function readBytes(answer: HttpAnswer, maxBytes: number, totalMs: number): Promise<Buffer> {
  const pieces = new BytePieces();
  const take = (chunk: Buffer): void => {
    pieces.add(chunk);
    if (pieces.bytes > maxBytes) throw new ExchangeFailure('garbage', `more than ${maxBytes} bytes`);
  };
  await answer.each(take, { contentWaitMs: totalMs, contents: () => 0 });
  return pieces.take();
}
