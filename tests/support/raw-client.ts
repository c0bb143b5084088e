/**
 * A client that speaks frames by hand, so that tests can also speak wrongly. Knows nothing of
 * src/client.
 */

import { createConnection, type Socket } from 'node:net';
import { until } from './until.ts';

/** Ends a frame. Written out here on purpose: the tests are a second opinion on the wire. */
const FRAME_END = '\f';

/** One message as it came. */
export interface RawMessage {
  readonly type: string;
  readonly data: {
    readonly id?: string | number;
    readonly result?: unknown;
    readonly data?: unknown;
    readonly event?: string;
    readonly pid?: number;
    readonly protocol?: number;
    readonly version?: string;
    readonly error?: { readonly code: string; readonly message: string; readonly hint?: string };
  };
}

/** One connection. `await using` destroys it at the end of the test. */
export class RawClient implements AsyncDisposable {
  /** Holds every message received so far, in order. */
  readonly messages: RawMessage[] = [];
  readonly #socket: Socket;
  #unfinished: string[] = [];
  #isClosed = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('utf8');
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#isClosed = true;
    });
    socket.on('data', (chunk: string) => this.#read(chunk));
  }

  /** Connects; rejects with the system's error. Says nothing by itself, not even hello. */
  static async open(path: string): Promise<RawClient> {
    const socket = createConnection(path);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return new RawClient(socket);
  }

  /** Connects, says hello and waits for the welcome. */
  static async greet(path: string, hello: Readonly<Record<string, unknown>> = {}): Promise<RawClient> {
    const client = await RawClient.open(path);
    client.send('hello', { protocol: 1, client: 'raw/1', ...hello });
    await client.next('welcome');
    return client;
  }

  /** Whether the connection is closed. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Returns the bytes that wait because the other side does not read. */
  get unsent(): number {
    return this.#socket.writableLength;
  }

  /** Sends text as it is. */
  sendText(text: string): void {
    this.#socket.write(text);
  }

  /** Sends one message as a proper frame. */
  send(type: string, data: unknown): void {
    this.sendText(JSON.stringify({ type, data }) + FRAME_END);
  }

  /** Sends a request. */
  request(id: string | number, op: string, params?: unknown): void {
    this.send('request', { id, op, params });
  }

  /** Sends a request and resolves with its reply or error. */
  async ask(id: string | number, op: string, params?: unknown): Promise<RawMessage> {
    this.request(id, op, params);
    return this.next((message) => message.type !== 'chunk' && message.data.id === id);
  }

  /**
   * Resolves with the first message, received or yet to come, of a type or for which a condition
   * holds.
   */
  next(wanted: string | ((message: RawMessage) => boolean), limitMs?: number): Promise<RawMessage> {
    const isWanted = typeof wanted === 'string' ? (message: RawMessage): boolean => message.type === wanted : wanted;
    return until(
      `a message that is ${typeof wanted === 'string' ? wanted : 'wanted'}`,
      () => this.messages.find(isWanted),
      limitMs,
    );
  }

  /** Resolves when the connection is closed by the other side. */
  async closed(limitMs?: number): Promise<void> {
    await until('the connection is closed', () => this.#isClosed, limitMs);
  }

  /** Stops reading, as a program does that hangs. */
  pause(): void {
    this.#socket.pause();
  }

  /** Reads again. */
  resume(): void {
    this.#socket.resume();
  }

  /** Ends our half of the connection. */
  end(): void {
    this.#socket.end();
  }

  /** Vanishes. */
  destroy(): void {
    this.#socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy();
    await this.closed();
  }

  #read(chunk: string): void {
    const pieces = chunk.split(FRAME_END);
    const rest = pieces.pop() ?? '';
    for (const piece of pieces) {
      const message: RawMessage = JSON.parse(this.#unfinished.join('') + piece);
      this.#unfinished = [];
      this.messages.push(message);
    }
    this.#unfinished.push(rest);
  }
}
