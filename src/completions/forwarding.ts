/**
 * The forwarder's contract with the HTTP gateway (`ForwardRequest`, `ForwardSink`,
 * `ForwardOutcome`) and with those who read an answer themselves (`AnswerConsumer`).
 *
 * Decisions:
 * - The body is one buffer, because it is kept for the next key anyway; whoever reads it from a
 *   socket bounds it.
 * - The sink is called with a head, bytes and one of `end` or `abort`, and never with an error. An
 *   error before the head comes back as the outcome, for the gateway to word in the dialect of the
 *   path (gateway/dialect-errors.ts).
 * - A refusal of the request itself (400, 404, 422), or a provider's own failure, is passed on as
 *   it is, with secrets masked. One that is about our keys is never: the client would blame its own
 *   credential.
 */

import type { IncomingHttpHeaders } from 'node:http';
import type { AipassError } from '../base/errors.ts';
import type { CompletionFallback, CompletionUsage } from '../protocol/completion.ts';
import type { HttpRequest } from '../providers/http-exchange.ts';
import type { EventCaller } from '../usage/event.ts';
import type { Dialect } from '../providers/provider.ts';

/**
 * Returns what a request falls back on, each once. What a fallback does not name is that of the
 * request.
 */
export function* fallbackRoutes<Model extends string | undefined>(
  first: { readonly provider: string; readonly model: Model },
  fallbacks: readonly CompletionFallback[],
): Generator<{ readonly provider: string; readonly model: Model | string }> {
  if (fallbacks.length === 0) return;
  const seen = new Set([`${first.provider}\n${first.model}`]);
  for (const fallback of fallbacks) {
    const named = typeof fallback === 'string' ? { model: fallback } : fallback;
    const provider = named.provider ?? first.provider;
    const model: Model | string = named.model ?? first.model;
    if (seen.has(`${provider}\n${model}`)) continue;
    seen.add(`${provider}\n${model}`);
    yield { provider, model };
  }
}

/** Field that keeps the clients of OpenAI and Anthropic from sending a request again. */
export const NOT_AGAIN = { 'x-should-retry': 'false' } as const;

/** A client's request as it came, to be sent with another key. */
export interface ForwardRequest {
  readonly provider: string;
  readonly dialect: Dialect;
  readonly method: string;
  /** The path below the provider's base URL, validated, beginning with `/`. */
  readonly path: string;
  /** Empty, or the query from its `?` on, as it was written. */
  readonly query: string;
  /**
   * The client's header fields by lower-case name; credentials and the connection's own are taken
   * out here.
   */
  readonly headers: Readonly<IncomingHttpHeaders>;
  readonly body: Buffer | null;
  /** Who asks, with the session, for the records. */
  readonly caller: EventCaller;
  readonly organization?: string | undefined;
  /**
   * Fallbacks, in this order, for when the provider or its keys fail. Those of the same dialect are
   * tried, with the same bytes but for the model where another one is named. Only for kinds of
   * request that every provider of a dialect serves.
   */
  readonly fallbacks?: readonly CompletionFallback[] | undefined;
}

/** The client's side of an answer. */
export interface ForwardSink {
  /** Takes the head; comes once, before all else. */
  head(status: number, headers: Readonly<Record<string, string>>): void;
  /** Takes bytes; a promise holds the next ones back until it resolves. */
  write(bytes: Buffer): Promise<void> | void;
  /**
   * Ends a whole answer with its last bytes, if any; they leave once what was recorded of it is on
   * disk.
   */
  end(last: Buffer): Promise<void>;
  /** Ends an answer that broke off: the client must not take it for a whole one. */
  abort(): void;
}

export type ForwardOutcome =
  /** An answer of the provider was passed on, with the status that it had. */
  | { readonly kind: 'answered'; readonly status: number; readonly provider: string; readonly keyId: string | null }
  /**
   * There was none. Where `begun`, the client has part of one and the sink was aborted; else the
   * error is to be worded.
   */
  | {
      readonly kind: 'failed';
      readonly error: AipassError;
      readonly begun: boolean;
      /** True where failing providers were asked again: the client need not do it once more. */
      readonly isRepeated: boolean;
      /** The provider's status, where its refusal was a page for people and not of the dialect. */
      readonly status?: number;
    };

/**
 * Reads one answer. What it throws from `head`, `take` and `finish` is judged as a failure of the
 * attempt.
 */
export interface AnswerConsumer {
  /** Whether the caller was given a part of the answer: then nothing may be repeated. */
  readonly begun: boolean;
  readonly seen: { readonly id: string | null; readonly model: string | null; readonly usage: CompletionUsage | null };
  /** Number of pieces of content; keep-alives are none. */
  readonly contents: number;
  /** Whether all of the content is there: a connection that breaks behind it costs nothing. */
  readonly isWhole: boolean;
  /** Whether nothing that may still come is of interest. */
  readonly isDone: boolean;
  head(status: number, headers: Readonly<Record<string, string>>): void;
  take(chunk: Buffer): Promise<void> | void;
  /** Checks, after the last byte, that the answer is whole. */
  finish(): void;
  /** Ends a good answer, after it was recorded. */
  close?(): Promise<void>;
  /** Ends an answer that failed after it had begun, after that was recorded. */
  break?(): Promise<void>;
  /** Passes nothing more on: the caller is gone, and the answer is read for its usage alone. */
  cut(): void;
}

/** A request to one provider, made for that provider. */
export interface PlannedRequest {
  /** The request without its key. */
  readonly request: HttpRequest;
  /** The field that the key goes into. */
  readonly authHeader: string;
  readonly isStreamed: boolean;
  /** Whether the usage of a stream was asked for on the caller's behalf. */
  readonly asksForUsage: boolean;
  /** Bounds the answer, in bytes. */
  readonly maxBytes: number;
  /** True where a refusal may concern the path, which the caller chose. */
  readonly isOwnPath?: boolean;
  readonly createConsumer: () => AnswerConsumer;
}
