/**
 * Connections to providers, kept for the next request: one request at a time on each.
 *
 * It uses net and tls and not node:http. That client takes more time for a request than everything
 * else that the gateway does with one (bench/gateway.ts). Proxies are left to node:http
 * (http-exchange.ts).
 */

import { isIP, type LookupFunction, type Socket } from 'node:net';
import { BoundedMap } from '../base/bounded-map.ts';
import { systemClock } from '../base/clock.ts';
import { AnswerReader, type AnswerSink } from './answer-reader.ts';

export interface ConnectionTarget {
  /** Scheme, host and port as one text. */
  readonly origin: string;
  readonly isSecure: boolean;
  readonly hostname: string;
  readonly port: number;
  /**
   * Resolves the host's name instead of the system, and may refuse. Its connections serve no
   * request without one.
   */
  readonly lookup?: LookupFunction | undefined;
}

export interface ConnectionFailure {
  readonly error: Error;
  readonly isConnected: boolean;
  /** Whether the connection had served another request, and not one byte of an answer came. */
  readonly isLost: boolean;
}

/** Takes the head of an answer, or why there is none. */
export interface HeadListener {
  head(status: number, fields: readonly string[], body: BodySource): void;
  fail(failure: ConnectionFailure): void;
}

export interface BodyListener {
  data(chunk: Buffer): void;
  end(): void;
  fail(error: unknown): void;
}

/** Body of an answer on its way. Nothing comes before it is read. */
export interface BodySource {
  /** Hands the body to a listener, or to another one from now on. */
  read(listener: BodyListener): void;
  pause(): void;
  resume(): void;
  destroy(): void;
}

/**
 * Time for which a connection is kept without a request, in milliseconds: as long as Node's own
 * agent keeps one.
 */
const KEPT_MS = 5000;

/**
 * Time by which a connection is closed before the other side would, in milliseconds, where that
 * announced when it will.
 */
const EARLIER_MS = 1000;

/** The most idle connections to one address. */
const MAX_IDLE = 256;

/** Delay of the probes that find out whether the other machine is still there, in milliseconds. */
const PROBE_MS = 1000;

/**
 * Buffer that every plain connection reads into: Node would take 64 KB from the system for each
 * read, give most of it back, and leave its heap in pieces.
 */
const READ_BUFFER = Buffer.alloc(64 * 1024);

class Pool {
  /** Idle ones, the one that was used last at the end. */
  readonly #idle: Connection[] = [];
  #session: Buffer | undefined;
  #isSweepDue = false;

  /** Returns a connection to its address, an idle one where it may be. */
  take(target: ConnectionTarget, mayReuse: boolean): Connection {
    for (let idle = mayReuse ? this.#idle.pop() : undefined; idle !== undefined; idle = this.#idle.pop()) {
      if (idle.isUsable(systemClock.monotonic())) return idle;
      idle.destroy();
    }
    return new Connection(this, target);
  }

  keep(connection: Connection): void {
    if (this.#idle.length >= MAX_IDLE) {
      connection.destroy();
      return;
    }
    this.#idle.push(connection);
    this.#sweepLater();
  }

  remove(connection: Connection): void {
    const at = this.#idle.indexOf(connection);
    if (at !== -1) this.#idle.splice(at, 1);
  }

  clear(): void {
    for (const connection of this.#idle.splice(0)) connection.destroy();
  }

  /** One timer for all: a timer of its own for each would be set and cleared with each request. */
  #sweepLater(): void {
    if (this.#isSweepDue) return;
    this.#isSweepDue = true;
    systemClock.after(KEPT_MS / 2, () => {
      this.#isSweepDue = false;
      const now = systemClock.monotonic();
      for (const connection of this.#idle.filter((idle) => !idle.isUsable(now))) connection.destroy();
      if (this.#idle.length > 0) this.#sweepLater();
    });
  }

  /** Connects; bytes go to `take` from a buffer that is used again, or are events of the socket. */
  connect({ isSecure, hostname, port, lookup }: ConnectionTarget, take: (chunk: Buffer) => void): Socket {
    const options = {
      host: hostname,
      port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: PROBE_MS,
      ...(lookup ? { lookup } : {}),
    };
    if (!isSecure) {
      const onread = {
        buffer: READ_BUFFER,
        callback: (bytes: number): boolean => {
          take(Buffer.from(READ_BUFFER.subarray(0, bytes)));
          return true;
        },
      };
      return process.getBuiltinModule('node:net').connect({ ...options, onread });
    }
    const socket = process.getBuiltinModule('node:tls').connect({
      ...options,
      ALPNProtocols: ['http/1.1'],
      ...(isIP(hostname) === 0 ? { servername: hostname } : {}),
      ...(this.#session ? { session: this.#session } : {}),
    });
    socket.on('data', take);
    socket.on('session', (session) => {
      this.#session = session;
    });
    socket.once('error', () => {
      this.#session = undefined;
    });
    return socket;
  }
}

/** Most addresses whose connections are kept: credentials bring addresses of their own. */
const MAX_POOLS = 256;

/** Pools by address. */
const pools = new BoundedMap<string, Pool>(MAX_POOLS, (pool) => pool.clear());

function poolOf({ origin, lookup }: ConnectionTarget): Pool {
  const name = lookup ? `guarded ${origin}` : origin;
  let pool = pools.get(name);
  if (pool === undefined) {
    pool = new Pool();
    pools.set(name, pool);
  }
  return pool;
}

class Connection {
  readonly socket: Socket;
  readonly #pool: Pool;
  #flight: Flight | undefined;
  isConnected = false;
  /** Whether it served a request before. */
  isUsed = false;
  #idleSince = 0;
  #keptMs = KEPT_MS;

  constructor(pool: Pool, target: ConnectionTarget) {
    this.#pool = pool;
    const socket = pool.connect(target, (chunk) => {
      // Bytes that nobody asked for would be taken for the next answer.
      if (this.#flight === undefined) this.destroy();
      else this.#flight.take(chunk);
    });
    this.socket = socket;
    socket.once('encrypted' in socket ? 'secureConnect' : 'connect', () => {
      this.isConnected = true;
    });
    socket.on('end', () => {
      this.#pool.remove(this);
      if (this.#flight === undefined) this.destroy();
      else this.#flight.endInput();
    });
    socket.on('error', (error) => this.#flight?.fail(error));
    socket.on('close', () => {
      this.#pool.remove(this);
      this.#flight?.endInput();
    });
  }

  /** Whether another request may be sent. */
  isUsable(now: number): boolean {
    return !this.socket.destroyed && this.socket.writable && now - this.#idleSince < this.#keptMs;
  }

  begin(flight: Flight): void {
    this.#flight = flight;
    this.socket.ref();
  }

  /**
   * Ends the use of this connection by a flight: another one may have it, where the answer allows.
   */
  release(reader: AnswerReader, hasRemainder: boolean): void {
    this.#flight = undefined;
    this.isUsed = true;
    const { socket } = this;
    this.#keptMs = Math.min(KEPT_MS, reader.keptMs === undefined ? KEPT_MS : reader.keptMs - EARLIER_MS);
    // An answer that came before the whole request was sent leaves the connection in a state that
    // nobody knows.
    if (!reader.keepsAlive || hasRemainder || this.#keptMs <= 0 || socket.writableLength > 0 || !socket.writable) {
      this.destroy();
      return;
    }
    this.#idleSince = systemClock.monotonic();
    // An idle connection keeps no process alive.
    socket.unref();
    if (socket.isPaused()) socket.resume();
    this.#pool.keep(this);
  }

  destroy(): void {
    this.#flight = undefined;
    this.#pool.remove(this);
    this.socket.destroy();
  }
}

/** A request under way on a connection, and the body of its answer. */
export class Flight implements AnswerSink, BodySource {
  readonly #connection: Connection;
  readonly #pool: Pool;
  /** Takes the head; undefined once it was taken. */
  #onHead: HeadListener | undefined;
  /** Takes the body; undefined while nobody reads it. */
  #listener: BodyListener | undefined;
  #reader: AnswerReader;
  readonly #wasUsed: boolean;
  #waiting: Buffer | undefined;
  #hasBytes = false;
  #isInputOver = false;
  #isOver = false;
  #failure: Error | undefined;

  constructor(pool: Pool, connection: Connection, onHead: HeadListener, isHeadOnly: boolean) {
    this.#pool = pool;
    this.#connection = connection;
    this.#onHead = onHead;
    this.#reader = new AnswerReader(this, isHeadOnly);
    this.#wasUsed = connection.isUsed;
  }

  head(status: number, fields: readonly string[]): void {
    const onHead = this.#onHead;
    this.#onHead = undefined;
    // Held until somebody reads.
    this.pause();
    onHead?.head(status, fields, this);
  }

  data(chunk: Buffer): void {
    this.#listener?.data(chunk);
  }

  read(listener: BodyListener): void {
    if (this.#failure) listener.fail(this.#failure);
    else if (this.#isOver) listener.end();
    else {
      this.#listener = listener;
      this.resume();
    }
  }

  pause(): void {
    this.#reader.isHeld = true;
  }

  resume(): void {
    if (!this.#reader.isHeld || this.#isOver) return;
    this.#reader.isHeld = false;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    this.#read(waiting);
    if (!this.#isOver && !this.#reader.isHeld) this.#connection.socket.resume();
  }

  /** Closes the connection, in whatever state it is. */
  destroy(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#connection.destroy();
    this.#letGo();
  }

  /** Closes the idle connections to the same address. */
  closeKept(): void {
    this.#pool.clear();
  }

  take(chunk: Buffer): void {
    this.#hasBytes = true;
    if (!this.#reader.isHeld) {
      this.#read(chunk);
      return;
    }
    this.#waiting = this.#waiting ? Buffer.concat([this.#waiting, chunk]) : chunk;
    this.#connection.socket.pause();
  }

  /** Takes the end of the connection's bytes. What is held back is read before. */
  endInput(): void {
    this.#isInputOver = true;
    if (!this.#reader.isHeld) this.#read(undefined);
  }

  fail(error: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#failure = error;
    const { isConnected } = this.#connection;
    const [onHead, listener] = [this.#onHead, this.#listener];
    this.#connection.destroy();
    this.#letGo();
    if (onHead) onHead.fail({ error, isConnected, isLost: this.#wasUsed && !this.#hasBytes });
    else listener?.fail(error);
  }

  /**
   * Drops what a flight that is over refers to. V8 keeps what an old connection pointed to until
   * its next major collection, and with it everything of the request. Half of all garbage outlived
   * the young generation (measured at 32 at once).
   */
  #letGo(): void {
    this.#onHead = undefined;
    this.#listener = undefined;
    this.#reader = NO_READER;
    this.#waiting = undefined;
  }

  #read(chunk: Buffer | undefined): void {
    try {
      if (chunk) this.#waiting = this.#reader.push(chunk);
    } catch (error) {
      this.fail(error instanceof Error ? error : new Error('the answer cannot be read'));
      return;
    }
    const isRead = this.#isInputOver && this.#waiting === undefined;
    if (this.#isOver) return;
    if (this.#reader.isOver || (isRead && this.#reader.close())) {
      this.#isOver = true;
      this.#connection.release(this.#reader, this.#waiting !== undefined);
      const listener = this.#listener;
      this.#letGo();
      listener?.end();
    } else if (isRead) this.fail(hangUp());
  }
}

const NO_READER = new AnswerReader({ head: () => {}, data: () => {} }, true);

/**
 * Sends a request and returns its flight; the head of the answer goes to the listener.
 *
 * @param head request line and fields with the empty line behind them, each character one byte.
 */
export function sendRequest(
  target: ConnectionTarget,
  head: string,
  body: Uint8Array | undefined,
  { mayReuse, isHeadOnly }: { readonly mayReuse: boolean; readonly isHeadOnly: boolean },
  onHead: HeadListener,
): Flight {
  const pool = poolOf(target);
  const connection = pool.take(target, mayReuse);
  const flight = new Flight(pool, connection, onHead, isHeadOnly);
  connection.begin(flight);
  const { socket } = connection;
  if (body === undefined || body.length === 0) socket.write(head, 'latin1');
  else if (body.length <= MAX_JOINED_BYTES && Buffer.isBuffer(body)) {
    socket.write(head + body.toString('latin1', 0, body.length), 'latin1');
  } else {
    socket.cork();
    socket.write(head, 'latin1');
    socket.write(body);
    socket.uncork();
  }
  return flight;
}

/** A body that is sent in one piece with its head; a longer one is not worth the copy. */
export const MAX_JOINED_BYTES = 16 * 1024;

/** Returns the error of a connection that the other side ended, as node:http has it. */
function hangUp(): Error {
  return Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' });
}
