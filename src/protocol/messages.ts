/**
 * Messages on the socket: node-ipc envelopes `{"type": …, "data": …}`, each followed by a form
 * feed.
 *
 * The client says `hello` first and may go on without waiting for `welcome`; its ids name its
 * requests, many of which may be in flight. Every request is answered by exactly one `reply` or
 * `error`; `chunk`s of a streaming operation come before it.
 */

import type { WireError } from '../base/errors.ts';

/** Version of the protocol; a peer with another version gets VERSION_MISMATCH. */
export const PROTOCOL_VERSION = 1;

/** End of a frame: node-ipc's delimiter, a form feed, which JSON text never contains unescaped. */
export const FRAME_END = '\f';

/**
 * Maximum frame that the daemon sends and the client accepts, in UTF-8 bytes. What the daemon
 * accepts is configured, half of this by default.
 */
export const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

/** Maximum length of a caller name, in characters. A longer one is cut; as a parameter, refused. */
export const MAX_CALLER_LENGTH = 128;

/** The same of a session. */
export const MAX_SESSION_LENGTH = 200;

export type ClientMessage =
  | { readonly type: 'hello'; readonly data: Hello }
  | { readonly type: 'request'; readonly data: Request }
  | { readonly type: 'cancel'; readonly data: { readonly id: RequestId } };

export type DaemonMessage =
  | { readonly type: 'welcome'; readonly data: Welcome }
  | { readonly type: 'reply'; readonly data: { readonly id: RequestId; readonly result: unknown } }
  | { readonly type: 'chunk'; readonly data: { readonly id: RequestId; readonly data: unknown } }
  | { readonly type: 'error'; readonly data: { readonly id?: RequestId; readonly error: WireError } }
  | { readonly type: 'event'; readonly data: { readonly event: string; readonly data: unknown } };

/** Id of a request: chosen by the client, unique among its requests in flight. */
export type RequestId = string | number;

/** First message of a connection; `client` is `name/version` of the library. */
export interface Hello {
  readonly protocol: number;
  readonly caller?: string;
  readonly client?: string;
  /** Name of the client's session across its connections, for usage records. */
  readonly session?: string;
}

/** Answer to a hello. */
export interface Welcome {
  readonly protocol: number;
  readonly version: string;
  readonly pid: number;
}

/** Request for one operation. */
export interface Request {
  readonly id: RequestId;
  readonly op: string;
  readonly params?: unknown;
}
