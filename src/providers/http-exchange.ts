/**
 * One HTTP request and its answer, byte by byte, with limits. Everything that the daemon sends to
 * an API goes through here. Workers have a reason for fetch (refreshers/worker/exchange.ts), and
 * doctor checks only whether an address answers.
 *
 * It is not fetch, which has limits of its own (300 s to the headers and between bytes). Only its
 * own package could change them. Connections are ours (http-connection.ts), or node:http's where a
 * proxy is set. No redirect is followed, and an abort destroys the connection at once, whatever
 * state it is in. One thing is repeated: a request on a kept connection that the other side had
 * closed (see `openExchange`).
 */

import type { ClientRequest, OutgoingHttpHeader, OutgoingHttpHeaders } from 'node:http';
import type { LookupFunction } from 'node:net';
import type { Readable } from 'node:stream';
import type { Clock } from '../base/clock.ts';
import { BoundedMap } from '../base/bounded-map.ts';
import { systemErrorCode } from '../base/errors.ts';
import { separateAgent, singleUseAgent, usesProxy } from '../base/network.ts';
import { FORBIDDEN, MalformedAnswer, SWITCHING_PROTOCOLS, TOKEN } from './answer-reader.ts';
import {
  MAX_JOINED_BYTES,
  sendRequest,
  type BodyListener,
  type BodySource,
  type ConnectionTarget,
  type HeadListener,
} from './http-connection.ts';

export interface HttpRequest {
  readonly method: string;
  readonly url: string;
  /** Header fields by lower-case name; the content length is added. */
  readonly headers: Readonly<OutgoingHttpHeaders>;
  readonly body?: string | Uint8Array | undefined;
  /**
   * Resolves the host's name instead of the system, and may refuse. Its connections serve no
   * request without one.
   */
  readonly lookup?: LookupFunction | undefined;
}

/**
 * Bounds of an answer: `waitMs` for the wait for its first byte and between two, `maxBytes` for its
 * body.
 */
export interface HttpLimits {
  readonly waitMs: number;
  readonly maxBytes: number;
}

/** The source of time, and the signal that ends the request early. */
export interface HttpOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Takes the next bytes of a body; a promise holds the following ones back until it resolves. */
export type TakeChunk = (chunk: Buffer) => Promise<void> | void;

export interface ReadOptions {
  /**
   * Whether nothing more is wanted. Then reading resolves before the end. The connection has a
   * moment more to end by itself, so that it can serve the next request. It is closed otherwise.
   */
  readonly isDone?: () => boolean;
  /**
   * Number of pieces of content so far; bytes that only keep the connection alive are none. Without
   * it every byte is content.
   */
  readonly contents?: () => number;
  /** The longest wait for content, in milliseconds. */
  readonly contentWaitMs?: number;
}

/** An answer whose headers have arrived; names of headers are lower-case, cookies are left out. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /**
   * Reads the body to its end, once. Waiting is timed only while nobody holds the bytes back.
   *
   * @throws ExchangeFailure where it breaks off, and whatever `take` throws, which closes the
   * connection.
   */
  each(take: TakeChunk, options?: ReadOptions): Promise<void>;
  /** Closes the connection; nothing can be read any more. */
  close(): void;
}

export type ExchangeFailureKind =
  | 'timeout'
  /** No connection came about. */
  | 'unreachable'
  /** A connection broke. */
  | 'network'
  | 'garbage'
  | 'aborted'
  | 'unsendable'
  | 'unsendable-key'
  /** The base URL of a credential leads to an address that is not public. */
  | 'not-public';

/**
 * A failed exchange; `detail` is plain text of ours, with nothing of the provider's in it; of
 * garbage it completes "answered with".
 */
export class ExchangeFailure extends Error {
  override readonly name = 'ExchangeFailure';
  readonly kind: ExchangeFailureKind;
  readonly detail: string;
  /** The host that was asked, where that helps to understand the failure. */
  readonly host: string | undefined;

  constructor(kind: ExchangeFailureKind, detail: string, cause?: unknown, host?: string) {
    super(`${kind}: ${detail}`, cause === undefined ? undefined : { cause });
    this.kind = kind;
    this.detail = detail;
    this.host = host;
  }
}

/** Detail of a failure to unpack a body. */
export const UNREADABLE_PACKING = 'a compressed body that cannot be read';

/** Bounds of what is still read of an answer that is done: longer ones are cheaper to cut. */
const REMAINDER_BYTES = 64 * 1024;
const REMAINDER_MS = 1000;

/**
 * Time within which a kept connection breaks that the other side had closed before a request, in
 * milliseconds: one way back and forth. Whoever breaks it later may have taken the request.
 */
const LOST_MS = 1000;

/**
 * The failure of a kept connection that the other side had closed before it was used again. It
 * broke at once, and not a byte came back.
 */
class LostKeptConnection extends ExchangeFailure {}

/** Returns whether a failure at this time shows that the other side had closed the connection. */
function wasClosedBefore({ detail }: ExchangeFailure, sentAt: number, now: number): boolean {
  return now - sentAt < LOST_MS && (detail === 'ECONNRESET' || detail === 'EPIPE');
}

/**
 * Sends a request and returns its answer when the headers are there.
 *
 * A kept connection that is lost at once, without one byte of answer, had been closed before the
 * request reached anybody. The request is sent once more, on a new connection (as Node's
 * documentation of `request.reusedSocket` advises). Other kept connections to the same host are as
 * old, and are closed. One that is lost later may have carried a request that is worked on and paid
 * for: that is a broken connection.
 *
 * @throws ExchangeFailure where there is no answer.
 */
export function openExchange(request: HttpRequest, limits: HttpLimits, options: HttpOptions): Promise<HttpAnswer> {
  return send(request, limits, options, true).catch((error: unknown) => {
    if (!(error instanceof LostKeptConnection) || options.signal.aborted) throw error;
    return send(request, limits, options, false);
  });
}

function send(
  request: HttpRequest,
  limits: HttpLimits,
  { signal, clock }: HttpOptions,
  mayReuse: boolean,
): Promise<HttpAnswer> {
  if (signal.aborted) return Promise.reject(new ExchangeFailure('aborted', 'ended before it was sent'));
  return new Promise((resolve, reject) => {
    const sentAt = clock.monotonic();
    let sent: SentRequest | undefined;
    let answer: Answer | undefined;
    const settle = (): void => {
      disarm();
      release();
    };
    const fail = (reason: ExchangeFailure): void => {
      settle();
      reject(reason);
      sent?.destroy();
    };
    const abort = (): void => {
      const reason = new ExchangeFailure('aborted', 'ended by its caller');
      if (answer) answer.fail(reason);
      else fail(reason);
    };
    const release = (): void => signal.removeEventListener('abort', abort);
    const listener: HeadListener = {
      head: (status, fields, body) => {
        disarm();
        try {
          if (status === SWITCHING_PROTOCOLS) throw new ExchangeFailure('garbage', 'a switch to another protocol');
          answer = new Answer(status, readHeaders(fields), body, limits, clock, release, request.method === 'HEAD');
          resolve(answer);
        } catch (error) {
          fail(describeFailure(error));
        }
      },
      fail: ({ error, isConnected, isLost }) => {
        settle();
        const reason = describeFailure(error, isConnected, targetOf(request.url).origin.hostname);
        if (!isLost || !wasClosedBefore(reason, sentAt, clock.monotonic())) {
          reject(reason);
          return;
        }
        sent?.closeKept();
        reject(new LostKeptConnection('network', reason.detail));
      },
    };
    const disarm = clock.after(limits.waitMs, () =>
      fail(new ExchangeFailure('timeout', waitDetail('first byte', limits.waitMs))),
    );
    // One listener for request and answer.
    signal.addEventListener('abort', abort, { once: true });
    try {
      sent = (usesProxy() ? sendByNode : sendDirectly)(request, mayReuse, listener);
    } catch (error) {
      const code = systemErrorCode(error) ?? 'invalid';
      fail(new ExchangeFailure('unsendable', `the request cannot be sent (${code})`, error));
    }
  });
}

interface SentRequest {
  destroy(): void;
  /** Closes the idle connections to the same host. */
  closeKept(): void;
}

/** Sends a request over a connection of ours. Throws for one that cannot be sent, unquoted. */
function sendDirectly(
  { method, url, headers, lookup, body: given }: HttpRequest,
  mayReuse: boolean,
  listener: HeadListener,
): SentRequest {
  const { origin, path, auth } = targetOf(url);
  const body = typeof given === 'string' ? Buffer.from(given) : given;
  if (!TOKEN.test(method)) throw new Error('the method holds a character that it may not hold');
  let head = `${method} ${path} HTTP/1.1\r\n`;
  for (const name in headers) head += printField(name, headers[name]);
  head += `host: ${origin.host}\r\nconnection: keep-alive\r\n`;
  if (auth !== undefined && headers['authorization'] === undefined) {
    head += `authorization: Basic ${Buffer.from(auth).toString('base64')}\r\n`;
  }
  if (body !== undefined || !BODILESS_METHODS.has(method)) head += `content-length: ${body?.length ?? 0}\r\n`;
  return sendRequest(
    lookup ? { ...origin, lookup } : origin,
    `${head}\r\n`,
    body,
    { mayReuse, isHeadOnly: method === 'HEAD' },
    listener,
  );
}

/** Sends a request by node:http, which knows proxies. Throws for one that cannot be sent. */
function sendByNode(request: HttpRequest, mayReuse: boolean, listener: HeadListener): SentRequest {
  const outgoing = prepare(request, mayReuse);
  let bytesBefore = 0;
  let isConnected = false;
  let isSettled = false;
  const fail = (error: Error): void => {
    if (isSettled) return;
    isSettled = true;
    const isLost = outgoing.reusedSocket && outgoing.socket?.bytesRead === bytesBefore;
    listener.fail({ error, isConnected, isLost });
  };
  outgoing.once('socket', (socket) => {
    bytesBefore = socket.bytesRead;
    isConnected = outgoing.reusedSocket;
    if (isConnected) return;
    socket.once(outgoing.protocol === 'https:' ? 'secureConnect' : 'connect', () => {
      isConnected = true;
    });
  });
  // Stays for good: a connection can break after the answer began, and an unheard 'error' ends the
  // process.
  outgoing.on('error', fail);
  // Without a listener Node closes such a connection and reports nothing.
  outgoing.once('upgrade', (_response, socket) => {
    socket.destroy();
    fail(new ExchangeFailure('garbage', 'a switch to another protocol'));
  });
  outgoing.once('close', () => fail(new ExchangeFailure('network', 'closed without an answer')));
  outgoing.once('response', (response) => {
    isSettled = true;
    // Without a listener an error of the connection would end the process before somebody reads.
    response.on('error', ignore);
    listener.head(response.statusCode ?? 0, response.rawHeaders, new StreamSource(response, request.method === 'HEAD'));
  });
  const { body } = request;
  if (Buffer.isBuffer(body) && body.length <= MAX_JOINED_BYTES) outgoing.end(body.toString('latin1'), 'latin1');
  else outgoing.end(body);
  return {
    destroy: () => {
      isSettled = true;
      outgoing.destroy();
    },
    closeKept: () => closeKept(outgoing, request.lookup !== undefined),
  };
}

/** Address of a server. */
interface Origin extends ConnectionTarget {
  readonly protocol: string;
  /** Host and port as a request names them: the usual port is left out. */
  readonly host: string;
}

/** Where a URL leads. */
interface Target {
  readonly origin: Origin;
  readonly path: string;
  readonly auth?: string;
}

/** Parsed origins: the same few hosts are asked all the time. */
const ORIGINS = new BoundedMap<string, Origin>(64);

/** Returns where a URL leads. One that is written as HTTP wants it is not parsed again. */
function targetOf(url: string): Target {
  const end = url.indexOf('/', url.indexOf('//') + 2);
  const path = end === -1 ? '/' : url.slice(end);
  if (!/^[\x21-\x7e]+$/.test(path) || path.includes('#') || url.includes('@')) {
    const parsed = new URL(url);
    const { pathname, search, username, password } = parsed;
    const auth = username === '' ? {} : { auth: `${decodeURIComponent(username)}:${decodeURIComponent(password)}` };
    return { origin: originOf(parsed), path: pathname + search, ...auth };
  }
  const written = end === -1 ? url : url.slice(0, end);
  let origin = ORIGINS.get(written);
  if (!origin) {
    origin = originOf(new URL(written));
    ORIGINS.set(written, origin);
  }
  return { origin, path };
}

function originOf({ protocol, hostname, port, host, origin }: URL): Origin {
  const isSecure = protocol === 'https:';
  const usualPort = isSecure ? 443 : 80;
  return { protocol, isSecure, hostname: unbracket(hostname), port: Number(port || usualPort), host, origin };
}

function unbracket(hostname: string): string {
  return hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
}

function prepare({ method, url, headers, body, lookup }: HttpRequest, mayReuse: boolean): ClientRequest {
  const { origin, path, auth } = targetOf(url);
  const { protocol, hostname, port } = origin;
  // Not by import: that loads every lazy export too (WebSocket, and fetch with it), at start-up,
  // for 30 ms and 8 MB.
  const { request } = process.getBuiltinModule(protocol === 'https:' ? 'node:https' : 'node:http');
  const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) };
  const agent = mayReuse ? (lookup ? { agent: separateAgent(protocol) } : {}) : { agent: singleUseAgent(protocol) };
  const resolving = lookup ? { lookup: lookupOf(hostname, lookup) } : {};
  const target = { protocol, hostname, port, path, ...(auth === undefined ? {} : { auth }) };
  return request({ ...target, method, headers: { ...headers, ...length }, ...agent, ...resolving });
}

/** Returns a lookup for one host; any other name is that of a proxy, which the system resolves. */
function lookupOf(host: string, lookup: LookupFunction): LookupFunction {
  return (name, options, callback) => {
    if (name === host) lookup(name, options, callback);
    else process.getBuiltinModule('node:dns').lookup(name, options, callback);
  };
}

/** Closes the idle connections to the host of a request. */
function closeKept({ protocol, host }: ClientRequest, isSeparate: boolean): void {
  const { globalAgent } = process.getBuiltinModule(protocol === 'https:' ? 'node:https' : 'node:http');
  const { freeSockets } = isSeparate ? separateAgent(protocol) : globalAgent;
  for (const [name, sockets] of Object.entries(freeSockets)) {
    if (!name.startsWith(`${host}:`)) continue;
    for (const socket of sockets ?? []) socket.destroy();
  }
}

/**
 * The most bytes of all answers that are taken in one turn of the event loop: large answers leave
 * room for everything else.
 */
const TURN_BYTES = 128 * 1024;

/** Answers that go on in each turn. */
const TURN_ANSWERS = 2;

/** A chunk that never has to wait for a turn, in bytes: streams of words come in such. */
const SMALL_CHUNK_BYTES = 16 * 1024;

/** Shares the turns of the event loop out between answers. */
class Turns {
  readonly #waiting: (() => void)[] = [];
  #bytes = 0;
  #isScheduled = false;

  /** Counts bytes; returns whether whoever brought them has to wait for another turn. */
  isUsedUp(bytes: number): boolean {
    if (bytes < SMALL_CHUNK_BYTES) return false;
    this.#bytes += bytes;
    this.#schedule();
    return this.#bytes > TURN_BYTES;
  }

  /** Calls back in a later turn, in order. */
  wait(callback: () => void): void {
    this.#waiting.push(callback);
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#bytes = 0;
      const next = this.#waiting.splice(0, TURN_ANSWERS);
      if (next.length === 0) return;
      this.#schedule();
      for (const goOn of next) goOn();
    });
  }
}

const turns = new Turns();

class Answer implements HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly #source: BodySource;
  readonly #body: BodySource;
  readonly #limits: HttpLimits;
  readonly #clock: Clock;
  readonly #release: () => void;
  #failure: ExchangeFailure | undefined;
  #onFailure: ((failure: ExchangeFailure) => void) | undefined;

  /** @param release called once nothing more is read: an abort means nothing any more. */
  constructor(
    status: number,
    headers: Readonly<Record<string, string>>,
    source: BodySource,
    limits: HttpLimits,
    clock: Clock,
    release: () => void,
    isHead: boolean,
  ) {
    this.status = status;
    this.#source = source;
    this.#limits = limits;
    this.#clock = clock;
    this.#release = release;
    this.#body = isHead ? source : unpack(source, headers);
    this.headers = isHead ? headers : withoutPacking(headers, this.#body !== source);
  }

  each(take: TakeChunk, options: ReadOptions = {}): Promise<void> {
    const { isDone = () => false, contents = () => 0, contentWaitMs = Number.POSITIVE_INFINITY } = options;
    const clock = this.#clock;
    const { waitMs, maxBytes } = this.#limits;
    const body = this.#body;
    return new Promise((resolve, reject) => {
      let bytes = 0;
      let lastAt = clock.monotonic();
      let contentAt = lastAt;
      let contentsBefore = contents();
      let isHeld = false;
      let isEnded = false;
      let isSettled = false;
      let disarm: (() => void) | undefined;
      const stopTimer = (): void => {
        disarm?.();
        disarm = undefined;
      };
      // One timer for the whole answer, moved on when it fires: most answers have many chunks in
      // one wait.
      const watch = (leftMs: number): void => {
        disarm = clock.after(leftMs, () => {
          const now = clock.monotonic();
          const byteMs = lastAt + waitMs - now;
          const contentMs = contentAt + contentWaitMs - now;
          if (byteMs <= 0) fail(new ExchangeFailure('timeout', waitDetail('next byte', waitMs)));
          else if (contentMs <= 0) fail(new ExchangeFailure('timeout', waitDetail('content', contentWaitMs)));
          else watch(Math.min(byteMs, contentMs));
        });
      };
      const end = (): void => {
        stopTimer();
        this.#release();
        isSettled = true;
        this.#onFailure = undefined;
      };
      const fail = (error: unknown): void => {
        if (isSettled) return;
        end();
        this.close();
        reject(error);
      };
      const onData = (chunk: Buffer): void => {
        if (isSettled) return;
        lastAt = clock.monotonic();
        bytes += chunk.byteLength;
        if (bytes > maxBytes) {
          fail(new ExchangeFailure('garbage', `more than ${maxBytes} bytes`));
          return;
        }
        let room: Promise<void> | void;
        try {
          room = take(chunk);
        } catch (error) {
          fail(error);
          return;
        }
        if (contents() !== contentsBefore) {
          contentsBefore = contents();
          contentAt = lastAt;
        }
        const isTurnOver = turns.isUsedUp(chunk.length);
        if (!room && isDone()) {
          leave();
          return;
        }
        if (!room && !isTurnOver) return;
        body.pause();
        stopTimer();
        isHeld = true;
        const heldAt = lastAt;
        const goOn = (): void => {
          isHeld = false;
          if (this.#failure) return;
          if (isEnded) {
            onEnd();
            return;
          }
          if (isDone()) {
            leave();
            return;
          }
          lastAt = clock.monotonic();
          contentAt += lastAt - heldAt;
          watch(Math.min(waitMs, contentAt + contentWaitMs - lastAt));
          body.resume();
        };
        if (room) room.then(goOn, fail);
        else turns.wait(goOn);
      };
      // Node may report the end of an answer while it is held back.
      const onEnd = (): void => {
        isEnded = true;
        if (isHeld || isSettled) return;
        end();
        resolve();
      };
      const leave = (): void => {
        end();
        this.#readRemainder();
        resolve();
      };
      const onError = (error: unknown): void => fail(this.#failure ?? this.#describe(error));
      this.#onFailure = fail;
      if (this.#failure) {
        fail(this.#failure);
        return;
      }
      body.read({ data: onData, end: onEnd, fail: onError });
      // Most answers that are not streams are there already.
      if (!isSettled && !isHeld) watch(Math.min(waitMs, contentWaitMs));
    });
  }

  close(): void {
    this.fail(new ExchangeFailure('aborted', 'closed'));
  }

  #readRemainder(): void {
    let bytes = 0;
    const disarm = this.#clock.after(REMAINDER_MS, () => this.close());
    this.#body.read({
      data: (chunk) => {
        bytes += chunk.byteLength;
        if (bytes > REMAINDER_BYTES) this.close();
      },
      end: disarm,
      fail: disarm,
    });
    this.#body.resume();
  }

  #describe(error: unknown): ExchangeFailure {
    if (error instanceof ExchangeFailure) return error;
    const failure = describeFailure(error);
    return this.#body === this.#source || failure.detail === 'ECONNRESET'
      ? failure
      : new ExchangeFailure('garbage', UNREADABLE_PACKING, error);
  }

  /** Ends the answer: whoever reads it gets the failure. */
  fail(failure: ExchangeFailure): void {
    if (this.#failure) return;
    this.#failure = failure;
    this.#release();
    this.#source.destroy();
    if (this.#body !== this.#source) this.#body.destroy();
    this.#onFailure?.(failure);
  }
}

/** Body that a stream of Node's has. A stream that is closed before its end has failed. */
class StreamSource implements BodySource {
  readonly #stream: Readable;
  #listener: BodyListener | undefined;
  #isOver = false;

  /** @param isHeadOnly whether there is no body: the stream is read all the same, for its end. */
  constructor(stream: Readable, isHeadOnly = false) {
    this.#stream = stream;
    stream.once('error', (error) => this.#fail(error));
    stream.once('close', () => this.#fail(new ExchangeFailure('network', 'ECONNRESET')));
    stream.once('end', () => {
      this.#isOver = true;
      this.#listener?.end();
    });
    if (isHeadOnly) stream.resume();
  }

  read(listener: BodyListener): void {
    const isFirst = this.#listener === undefined;
    this.#listener = listener;
    if (this.#isOver) listener.end();
    else if (isFirst) this.#stream.on('data', (chunk: Buffer) => this.#listener?.data(chunk));
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  destroy(): void {
    this.#stream.destroy();
  }

  #fail(error: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#listener?.fail(error);
  }
}

/** Methods whose requests have no length where they have no body (RFC 9110, 8.6). */
const BODILESS_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE']);

function printField(name: string, value: OutgoingHttpHeader | undefined): string {
  if (value === undefined) return '';
  if (!TOKEN.test(name)) throw new Error('the name of a header field holds a character that it may not hold');
  if (!Array.isArray(value)) return `${name}: ${checkedValue(String(value))}\r\n`;
  return value.map((one) => `${name}: ${checkedValue(one)}\r\n`).join('');
}

function checkedValue(value: string): string {
  if (FORBIDDEN.test(value)) throw new Error('the value of a header field holds a character that it may not hold');
  return value;
}

/**
 * Returns the body as it was before it was packed. We ask for identity, and some gateways pack all
 * the same.
 *
 * @throws ExchangeFailure for a packing that is not known.
 */
function unpack(source: BodySource, headers: Readonly<Record<string, string>>): BodySource {
  const packings = (headers['content-encoding'] ?? '')
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => !NO_PACKINGS.has(name));
  if (packings.length > MAX_PACKINGS) throw new ExchangeFailure('garbage', 'a body that is compressed too many times');
  // The last one was applied last.
  return packings.reduceRight<BodySource>(unpackOne, source);
}

/** Most packings of one body: each takes memory before its first byte. */
const MAX_PACKINGS = 3;

/** Names of no packing; some servers put the character set there. */
const NO_PACKINGS = new Set(['', 'identity', 'none', 'utf-8', 'utf8']);

function unpackOne(source: BodySource, packing: string): BodySource {
  const zlib = process.getBuiltinModule('node:zlib');
  const unpackers: Readonly<Record<string, () => ReturnType<typeof zlib.createGunzip>>> = {
    gzip: zlib.createGunzip,
    'x-gzip': zlib.createGunzip,
    deflate: zlib.createInflate,
    br: zlib.createBrotliDecompress,
    zstd: zlib.createZstdDecompress,
  };
  const create = Object.hasOwn(unpackers, packing) ? unpackers[packing] : undefined;
  if (!create)
    throw new ExchangeFailure('garbage', 'a body compressed in an unknown way, although nobody asked for it');
  const unpacked = create();
  let isEmpty = true;
  unpacked.on('drain', () => source.resume());
  source.read({
    data: (chunk) => {
      isEmpty = false;
      if (!unpacked.write(chunk)) source.pause();
    },
    end: () => {
      if (!isEmpty) {
        unpacked.end();
        return;
      }
      // Nothing was packed: a 204, a 304 or an empty answer may announce a packing all the same.
      unpacked.once('end', () => unpacked.destroy());
      unpacked.push(null);
    },
    fail: (error) => unpacked.destroy(error instanceof Error ? error : new ExchangeFailure('network', 'ECONNRESET')),
  });
  return new StreamSource(unpacked);
}

function withoutPacking(
  headers: Readonly<Record<string, string>>,
  isUnpacked: boolean,
): Readonly<Record<string, string>> {
  if (headers['content-encoding'] === undefined) return headers;
  const { 'content-encoding': _packing, 'content-length': length, ...others } = headers;
  return isUnpacked || length === undefined ? others : { ...others, 'content-length': length };
}

/**
 * Reads the fields of an answer; of one that came twice the values are joined, but for the type,
 * whose first one counts.
 */
function readHeaders(rawHeaders: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = {};
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = (rawHeaders[at] ?? '').toLowerCase();
    const value = rawHeaders[at + 1] ?? '';
    if (name === 'set-cookie' || name === '__proto__') continue;
    const before = headers[name];
    if (before === undefined) headers[name] = value;
    else if (name !== 'content-type') headers[name] = `${before}, ${value}`;
  }
  return headers;
}

function describeFailure(error: unknown, isConnected = true, host?: string): ExchangeFailure {
  if (error instanceof ExchangeFailure) return error;
  if (error instanceof MalformedAnswer) {
    return new ExchangeFailure('garbage', `something that is not HTTP (${error.message})`, error);
  }
  const code = systemErrorCode(error) ?? 'no reason given';
  return code.startsWith('HPE_')
    ? new ExchangeFailure('garbage', `something that is not HTTP (${code})`, error)
    : new ExchangeFailure(isConnected ? 'network' : 'unreachable', code, error, host);
}

function waitDetail(what: string, waitMs: number): string {
  return `no ${what} within ${waitMs} ms`;
}

function ignore(): void {}
