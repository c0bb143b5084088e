/**
 * What the gateway needs of the forwarder: one call to a provider, its answer written as it arrives.
 */

import type { OutgoingHttpHeaders } from 'node:http';
import type { EventCaller } from '../usage/event.ts';
import type { Dialect } from './target.ts';

/** Request as the client sent it. */
export interface ForwardRequest {
  readonly provider: string;
  readonly dialect: Dialect;
  readonly method: string;
  /** Path below the base URL of the dialect, with a slash in front. */
  readonly path: string;
  /** Query with its `?`, or empty. */
  readonly query: string;
  /** Header fields of the client as they came, names and values in turn. */
  readonly rawHeaders: readonly string[];
  readonly body: Buffer | undefined;
}

/** Where an answer goes. */
export interface AnswerSink {
  /** Begins the answer. Throws FORBIDDEN where the caller has lost its right meanwhile. */
  head(status: number, headers: OutgoingHttpHeaders): void;
  /** Sends bytes; a promise holds the next ones back. */
  write(bytes: Uint8Array): Promise<void> | void;
}

/** How one call is controlled. */
export interface ForwardControl {
  readonly caller: EventCaller;
  /** Ends the call, and the provider's connection with it; its reason is an AipassError. */
  readonly signal: AbortSignal;
  readonly answer: AnswerSink;
}

/**
 * Calls a provider. Resolves when the whole answer was written; rejects with an AipassError, before `head` where nothing
 * was answered, after it where the answer broke off.
 */
export type Forward = (request: ForwardRequest, control: ForwardControl) => Promise<void>;
