/**
 * What the gateway needs of the forwarder: one call to a provider, its answer written as it arrives.
 */

import type { IncomingHttpHeaders } from 'node:http';
import type { AipassError } from '../base/errors.ts';
import type { Dialect } from '../providers/provider.ts';
import type { EventCaller } from '../usage/event.ts';

/** Request as the client sent it. */
export interface ForwardRequest {
  readonly provider: string;
  readonly dialect: Dialect;
  readonly method: string;
  /** Path below the base URL of the dialect, with a slash in front. */
  readonly path: string;
  /** Query with its `?`, or empty. */
  readonly query: string;
  readonly headers: Readonly<IncomingHttpHeaders>;
  readonly body: Buffer | null;
  readonly caller: EventCaller;
}

/** Where an answer goes. */
export interface ForwardSink {
  /** Begins the answer. */
  head(status: number, headers: Readonly<Record<string, string>>): void;
  /** Sends bytes; a promise holds the next ones back. */
  write(bytes: Buffer): Promise<void> | void;
  /** Ends a whole answer. */
  end(): void;
  /** Ends an answer that broke off: the client must not take it for a whole one. */
  abort(): void;
}

/** End of a call. */
export type ForwardOutcome =
  | { readonly kind: 'answered' }
  /** Where `begun`, the client has a part of the answer; else the error is to be sent. */
  | { readonly kind: 'failed'; readonly error: AipassError; readonly begun: boolean };

/** Calls a provider. The signal ends the call, and the provider's connection with it; its reason is an AipassError. */
export type Forward = (request: ForwardRequest, sink: ForwardSink, signal: AbortSignal) => Promise<ForwardOutcome>;
