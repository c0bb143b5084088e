/**
 * Requests and answers over a connection that may be lost and made again.
 *
 * A request that was pending when its connection closed fails: with DAEMON_UNREACHABLE where
 * repeating it is safe, with CANCELLED where it may have had effects. The next request opens a new
 * connection.
 */

import { foregroundClock } from '../base/clock.ts';
import { AipassError } from '../base/errors.ts';
import { withTimeout } from '../base/timers.ts';
import type { ChunkOf, OperationName, Operations } from '../protocol/operations.ts';
import { PROTOCOL_VERSION } from '../protocol/messages.ts';
import { assertCallOptions, cancelled, lostAnswer, readWireError } from './failures.ts';
import { Transport } from './transport.ts';

/** Options of every call. */
export interface CallOptions {
  /** Cancels the call when it aborts. */
  readonly signal?: AbortSignal | undefined;
  /** Maximum wait for the result, in milliseconds; without it only the daemon's own limits hold. */
  readonly timeoutMs?: number | undefined;
}

/** Options of a call that sends chunks before its result. */
export type ChunkOptions<Name extends OperationName> = CallOptions & {
  readonly onChunk?: (data: ChunkOf<Name>) => void;
};

/** Location of the daemon and name of the caller. */
export interface SessionDeps {
  readonly socket: string;
  readonly caller: string | undefined;
  /** `name/version` of this library. */
  readonly client: string;
  readonly onEvent: (event: string, data: unknown) => void;
  /** Called when the daemon welcomed a new connection. */
  readonly onOpen: () => void;
  /** Called when a connection is lost that was not closed on purpose. */
  readonly onLost: () => void;
}

interface Pending {
  readonly op: OperationName;
  readonly frameLength: number;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: AipassError) => void;
  readonly onChunk: ((data: unknown) => void) | undefined;
}

/** Maximum time that the daemon may take to welcome a connection, in milliseconds. */
const WELCOME_LIMIT_MS = 10_000;

/** Longest delay of a timer, in milliseconds: a longer one would be none at all. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Talks to the daemon. */
export class Session {
  /** Id of the session in the daemon's records; it outlives a lost connection. */
  readonly id = `client-${process.pid}-${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 10)}`;
  readonly #deps: SessionDeps;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  #transport: Transport | undefined;
  #welcome = Promise.resolve();
  #refusal: AipassError | undefined;
  #held = false;
  #closed = false;

  constructor(deps: SessionDeps) {
    this.#deps = deps;
  }

  /**
   * Opens a connection and waits until the daemon welcomed it.
   *
   * @throws AipassError DAEMON_UNREACHABLE, VERSION_MISMATCH or FORBIDDEN.
   */
  async open(): Promise<void> {
    this.#ensureTransport();
    await withTimeout(foregroundClock, WELCOME_LIMIT_MS, this.#welcome, () => {
      const problem = `the daemon did not answer within ${WELCOME_LIMIT_MS / 1000} s`;
      const error = new AipassError('DAEMON_UNREACHABLE', problem, { hint: 'see its log; restart it if it hangs' });
      this.#transport?.destroy(error);
      throw error;
    });
  }

  /** Keeps the process alive for events even when no answer is awaited, or stops doing so. */
  hold(isHeld: boolean): void {
    this.#held = isHeld;
    if (this.#pending.size === 0) this.#transport?.hold(isHeld);
  }

  /** Asks for an operation. Rejects with an AipassError only. */
  request<Name extends OperationName>(
    op: Name,
    params: Operations[Name]['params'],
    options: ChunkOptions<Name> = {},
  ): Promise<Operations[Name]['result']> {
    try {
      assertCallOptions(options);
    } catch (error) {
      return Promise.reject(error);
    }
    const { signal, timeoutMs, onChunk } = options;
    if (this.#closed)
      return Promise.reject(new AipassError('BAD_REQUEST', 'this connection was closed', { hint: 'connect() again' }));
    if (signal?.aborted) return Promise.reject(cancelled(signal));

    return new Promise((resolve, reject) => {
      const id = this.#nextId++;
      let timer: NodeJS.Timeout | undefined;
      const onAbort = (): void => giveUp(signal ? cancelled(signal) : undefined);
      const finish = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        this.#pending.delete(id);
        if (this.#pending.size === 0 && !this.#held) this.#transport?.hold(false);
      };
      const giveUp = (error: AipassError | undefined): void => {
        if (!this.#pending.has(id)) return;
        finish();
        this.#transport?.send({ type: 'cancel', data: { id } });
        reject(error ?? new AipassError('CANCELLED', 'the call was cancelled'));
      };

      const transport = this.#ensureTransport();
      let frameLength: number;
      try {
        frameLength = transport.send({ type: 'request', data: { id, op, params } });
      } catch (error) {
        reject(
          new AipassError('BAD_REQUEST', `the parameters of ${op} cannot be sent as JSON`, {
            hint: 'pass plain values only',
            cause: error,
          }),
        );
        return;
      }
      this.#pending.set(id, {
        op,
        frameLength,
        // The daemon is of this protocol version, and so what it sends has these shapes.
        onChunk: onChunk as Pending['onChunk'],
        resolve: (result) => {
          finish();
          resolve(result as Operations[Name]['result']);
        },
        reject: (error) => {
          finish();
          reject(error);
        },
      });
      transport.hold(true);
      signal?.addEventListener('abort', onAbort, { once: true });
      if (timeoutMs !== undefined) {
        timer = setTimeout(
          () =>
            giveUp(new AipassError('TIMED_OUT', `${op} took longer than ${timeoutMs} ms`, { hint: 'raise timeoutMs' })),
          Math.min(timeoutMs, MAX_TIMER_MS),
        );
      }
    });
  }

  /** Closes the connection; what is pending fails. */
  close(): void {
    this.#closed = true;
    const transport = this.#transport;
    this.#transport = undefined;
    transport?.end();
    this.#failPending(() => new AipassError('CANCELLED', 'the connection was closed by its owner'));
  }

  #ensureTransport(): Transport {
    if (this.#transport) return this.#transport;
    let settle: ((failure?: AipassError) => void) | undefined;
    this.#welcome = new Promise((resolve, reject) => {
      settle = (failure) => (failure === undefined ? resolve() : reject(failure));
    });
    // A caller that does not open() gets a failure with its request.
    this.#welcome.catch(() => {});
    this.#refusal = undefined;
    const transport: Transport = new Transport(this.#deps.socket, {
      onMessage: (type, data) => this.#receive(type, data, () => settle?.()),
      onClose: (reason) => settle?.(this.#lost(transport, reason)),
    });
    this.#transport = transport;
    const { caller, client } = this.#deps;
    transport.send({
      type: 'hello',
      data: { protocol: PROTOCOL_VERSION, client, session: this.id, ...(caller === undefined ? {} : { caller }) },
    });
    transport.hold(this.#held);
    return transport;
  }

  #receive(type: string, data: unknown, onWelcome: () => void): void {
    if (type === 'welcome') {
      onWelcome();
      return this.#deps.onOpen();
    }
    if (typeof data !== 'object' || data === null) return;
    if (type === 'event' && 'event' in data && 'data' in data) return this.#deps.onEvent(String(data.event), data.data);

    const pending = 'id' in data && typeof data.id === 'number' ? this.#pending.get(data.id) : undefined;
    if (type === 'reply' && 'result' in data) pending?.resolve(data.result);
    else if (type === 'chunk' && 'data' in data) pending?.onChunk?.(data.data);
    else if (type === 'error' && 'error' in data) {
      const error = readWireError(data.error);
      if (pending) pending.reject(error);
      else if (!('id' in data)) this.#refusal = error;
    }
  }

  /** Fails what was pending on a lost connection. Returns why nothing new is sent over it. */
  #lost(transport: Transport, reason: AipassError | undefined): AipassError {
    const refusal = reason ?? this.#refusal;
    const closed = new AipassError('DAEMON_UNREACHABLE', 'the daemon closed the connection', {
      hint: 'it may have too many connections: see aipassd status',
    });
    if (this.#transport !== transport) return refusal ?? closed;
    this.#transport = undefined;
    // A frame over the daemon's limit is refused without an id: the longest one in flight must be
    // it.
    let longest = 0;
    for (const { frameLength } of this.#pending.values()) longest = Math.max(longest, frameLength);
    this.#failPending((pending) => {
      const isMeant = refusal !== undefined && (refusal.code !== 'BAD_REQUEST' || pending.frameLength === longest);
      return isMeant ? refusal : lostAnswer(pending.op);
    });
    if (!this.#closed) this.#deps.onLost();
    return refusal ?? closed;
  }

  #failPending(error: (pending: Pending) => AipassError): void {
    for (const pending of this.#pending.values()) pending.reject(error(pending));
  }
}
