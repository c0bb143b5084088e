/**
 * The measuring side of one HTTP connection: writes requests as text and looks for the end of each
 * answer. It is written by hand, so that the same few microseconds of measuring stand beside every
 * server.
 */

import { createConnection, type Socket } from 'node:net';

/** Where an HTTP server listens. */
export type Address = { readonly path: string } | { readonly host: string; readonly port: number };

/** Times of one request, in milliseconds. */
export interface Times {
  /** To the first byte of the body. */
  readonly first: number;
  readonly whole: number;
}

/** Time without a byte after which a server has failed, in milliseconds. */
const SILENCE_MS = 30_000;

/** Asks one server on one connection. */
export class HttpAsker {
  readonly #socket: Socket;
  #text = '';
  #began = 0;
  #first = 0;
  #done: ((times: Times) => void) | undefined;
  #fail: ((error: Error) => void) | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => this.#read(chunk));
    socket.on('error', (error) => this.#fail?.(error));
    socket.on('close', () => this.#fail?.(new Error('the connection was closed before the answer was complete')));
    socket.setTimeout(SILENCE_MS, () => socket.destroy(new Error(`no byte within ${SILENCE_MS} ms`)));
  }

  static async open(address: Address): Promise<HttpAsker> {
    const socket = createConnection(address);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return new HttpAsker(socket);
  }

  /** Sends one request and waits for the end of its answer. Rejects for any but a 200. */
  ask(request: string): Promise<Times> {
    return new Promise((resolve, reject) => {
      this.#text = '';
      this.#first = 0;
      this.#done = resolve;
      this.#fail = reject;
      this.#began = performance.now();
      this.#socket.write(request);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(chunk: string): void {
    this.#text += chunk;
    const head = this.#text.indexOf('\r\n\r\n');
    if (head === -1) return;
    const body = this.#text.length - head - 4;
    if (body > 0 && this.#first === 0) this.#first = performance.now() - this.#began;
    const length = /\r\ncontent-length: *(\d+)/i.exec(this.#text.slice(0, head + 2))?.[1];
    const isWhole = length === undefined ? this.#text.endsWith('0\r\n\r\n') : body >= Number(length);
    if (!isWhole) return;
    if (!this.#text.startsWith('HTTP/1.1 200')) {
      this.#fail?.(new Error(this.#text.slice(0, 500)));
      return;
    }
    this.#done?.({ first: this.#first, whole: performance.now() - this.#began });
  }
}
