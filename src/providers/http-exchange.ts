/**
 * One HTTP request and its answer, byte by byte, with limits. Everything that aipassd sends to a provider goes through
 * here.
 *
 * It is node:http and not fetch, because fetch has limits of its own (300 s to the headers and between bytes) that only
 * its own package could move. No redirect is followed, nothing is retried, and an abort destroys the connection at once,
 * whatever state it is in.
 */

import type { ClientRequest, IncomingMessage } from 'node:http';
import type { Clock } from '../base/clock.ts';
import { systemErrorCode } from '../base/errors.ts';

/** Is what is sent. */
export interface HttpRequest {
  readonly method: 'GET' | 'POST';
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Is false where no connection of an earlier request may be used. */
  readonly mayReuse?: boolean;
}

/** Bounds an answer: `waitMs` is the longest wait for its first byte and between two, `maxBytes` the longest body. */
export interface HttpLimits {
  readonly waitMs: number;
  readonly maxBytes: number;
}

/** Is where time comes from, and what ends the request early. */
export interface HttpControl {
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Is an answer whose headers have arrived; names of headers are lower-case, cookies are left out. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Returns the next bytes of the body, or undefined after the last. Throws ExchangeFailure. */
  read(): Promise<Uint8Array | undefined>;
  /** Closes the connection; nothing can be read any more. */
  close(): void;
  /** Gives the connection a moment to end by itself, so that it can serve the next request; else closes it. */
  finish(): Promise<void>;
}

/** Says how an exchange failed; `detail` is plain text of ours, with nothing of the provider's in it; of garbage it completes "answered with". */
export class ExchangeFailure extends Error {
  override readonly name = 'ExchangeFailure';
  /** `unreachable` where no connection came about, `network` where one broke. */
  readonly kind: 'timeout' | 'unreachable' | 'network' | 'garbage' | 'aborted' | 'unsendable' | 'unsendable-key';
  readonly detail: string;

  constructor(kind: ExchangeFailure['kind'], detail: string, cause?: unknown) {
    super(`${kind}: ${detail}`, cause === undefined ? undefined : { cause });
    this.kind = kind;
    this.detail = detail;
  }
}

/** Says that a connection of an earlier request was closed by the other side just as it was used again: nothing came back. */
export class LostKeptConnection extends ExchangeFailure {}

/** Bounds what is still read of an answer that nobody needs any more: longer ones are cheaper to cut. */
const FINISH_BYTES = 64 * 1024;
const FINISH_MS = 1000;

/**
 * Sends a request and returns its answer when the headers are there.
 *
 * @throws ExchangeFailure where there is no answer, and from `read` where it breaks off.
 */
export function openExchange(request: HttpRequest, limits: HttpLimits, control: HttpControl): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    if (control.signal.aborted) {
      reject(new ExchangeFailure('aborted', 'ended before it was sent'));
      return;
    }
    let outgoing: ClientRequest;
    try {
      outgoing = prepare(request);
    } catch (error) {
      reject(
        new ExchangeFailure('unsendable', `the request cannot be sent (${systemErrorCode(error) ?? 'invalid'})`, error),
      );
      return;
    }
    const fail = (reason: ExchangeFailure): void => {
      settle();
      reject(reason);
      outgoing.destroy(reason);
    };
    const disarm = control.clock.after(limits.waitMs, () =>
      fail(new ExchangeFailure('timeout', waitDetail('first byte', limits))),
    );
    const abort = (): void => fail(new ExchangeFailure('aborted', 'ended by its caller'));
    control.signal.addEventListener('abort', abort, { once: true });
    const settle = (): void => {
      disarm();
      control.signal.removeEventListener('abort', abort);
    };
    let bytesBefore = 0;
    let isConnected = false;
    outgoing.once('socket', (socket) => {
      bytesBefore = socket.bytesRead;
      isConnected = outgoing.reusedSocket;
      socket.once(outgoing.protocol === 'https:' ? 'secureConnect' : 'connect', () => {
        isConnected = true;
      });
    });
    // Stays for good: a connection can break after the answer began, and an unheard 'error' ends the process.
    outgoing.on('error', (error) => {
      settle();
      const isLost = outgoing.reusedSocket && outgoing.socket?.bytesRead === bytesBefore;
      const reason = describeFailure(error, isConnected);
      reject(isLost && reason.detail === 'ECONNRESET' ? new LostKeptConnection('network', reason.detail) : reason);
    });
    // Without a listener Node closes such a connection and tells nobody.
    outgoing.once('upgrade', (_response, socket) => {
      socket.destroy();
      fail(new ExchangeFailure('garbage', 'a switch to another protocol'));
    });
    outgoing.once('close', () => {
      settle();
      reject(new ExchangeFailure('network', 'closed without an answer'));
    });
    outgoing.once('response', (response) => {
      settle();
      const encoding = response.headers['content-encoding'];
      if (encoding !== undefined && encoding !== 'identity') {
        fail(new ExchangeFailure('garbage', 'compressed bytes, although nobody asked for them'));
        return;
      }
      resolve(new Answer(response, limits, control));
    });
    outgoing.end(request.body);
  });
}

function prepare(request: HttpRequest): ClientRequest {
  const target = new URL(request.url);
  // Not by import: that loads every lazy export too (WebSocket, and fetch with it), at start-up, for 30 ms and 8 MB.
  const { request: send } = process.getBuiltinModule(target.protocol === 'https:' ? 'node:https' : 'node:http');
  const { method, body, mayReuse } = request;
  const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
  const agent = mayReuse === false ? { agent: false as const } : {};
  return send(target, { method, headers: { ...request.headers, ...length }, ...agent });
}

/** Is an answer under way. Waiting is only timed while somebody reads: a slow reader is not the provider's fault. */
class Answer implements HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly #response: IncomingMessage;
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #limits: HttpLimits;
  readonly #control: HttpControl;
  readonly #abort: () => void;
  #failure: ExchangeFailure | undefined;
  #bytes = 0;

  constructor(response: IncomingMessage, limits: HttpLimits, control: HttpControl) {
    this.status = response.statusCode ?? 0;
    this.headers = readHeaders(response);
    this.#response = response;
    this.#chunks = response[Symbol.asyncIterator]();
    this.#limits = limits;
    this.#control = control;
    this.#abort = () => this.#fail(new ExchangeFailure('aborted', 'ended by its caller'));
    response.on('error', () => {});
    control.signal.addEventListener('abort', this.#abort, { once: true });
  }

  async read(): Promise<Uint8Array | undefined> {
    if (this.#failure) throw this.#failure;
    const disarm = this.#control.clock.after(this.#limits.waitMs, () =>
      this.#fail(new ExchangeFailure('timeout', waitDetail('next byte', this.#limits))),
    );
    try {
      const next = await this.#chunks.next();
      if (this.#failure) throw this.#failure;
      if (next.done === true) {
        this.#release();
        return undefined;
      }
      this.#bytes += next.value.byteLength;
      if (this.#bytes > this.#limits.maxBytes) {
        throw new ExchangeFailure('garbage', `more than ${this.#limits.maxBytes} bytes`);
      }
      return next.value;
    } catch (error) {
      this.#fail(error instanceof ExchangeFailure ? error : describeFailure(error));
      throw this.#failure ?? error;
    } finally {
      disarm();
    }
  }

  close(): void {
    this.#fail(new ExchangeFailure('aborted', 'closed'));
  }

  async finish(): Promise<void> {
    const disarm = this.#control.clock.after(FINISH_MS, () => this.close());
    try {
      const enough = this.#bytes + FINISH_BYTES;
      while ((await this.read()) !== undefined) {
        if (this.#bytes > enough) this.close();
      }
    } catch {
      // Whatever went wrong, the connection is closed, and the answer was complete.
    } finally {
      disarm();
    }
  }

  #fail(failure: ExchangeFailure): void {
    this.#failure ??= failure;
    this.#release();
    this.#response.destroy(failure);
  }

  #release(): void {
    this.#control.signal.removeEventListener('abort', this.#abort);
  }
}

function readHeaders(response: IncomingMessage): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(response.headers)) {
    if (value === undefined || name === 'set-cookie') continue;
    headers[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return headers;
}

function describeFailure(error: unknown, isConnected = true): ExchangeFailure {
  const code = systemErrorCode(error) ?? 'no reason given';
  return code.startsWith('HPE_')
    ? new ExchangeFailure('garbage', `something that is not HTTP (${code})`, error)
    : new ExchangeFailure(isConnected ? 'network' : 'unreachable', code, error);
}

function waitDetail(what: string, limits: HttpLimits): string {
  return `no ${what} within ${limits.waitMs} ms`;
}
