/**
 * The measuring side of one connection: sends text, and counts the frames that come back. The same
 * code asks every server, so that ratios compare servers.
 */

import { createConnection, type Socket } from 'node:net';

/** How one server is spoken to. */
export interface Dialect {
  /** Sent first and answered by one frame, or empty. */
  readonly hello: string;
  /** Prints one request. */
  readonly request: (id: number) => string;
  /** Ends a frame. */
  readonly end: string;
}

/** The newline-JSON server's way. */
export const LINES: Dialect = {
  hello: '',
  request: (id) => `${JSON.stringify({ id, op: 'key.get', params: { provider: 'openrouter' } })}\n`,
  end: '\n',
};

/** The daemon's way. */
export const AIPASSD: Dialect = {
  hello: `${JSON.stringify({ type: 'hello', data: { protocol: 1, client: 'bench/1' } })}\f`,
  request: (id) =>
    `${JSON.stringify({ type: 'request', data: { id, op: 'key.get', params: { provider: 'openrouter' } } })}\f`,
  end: '\f',
};

/** The echo's way: the daemon's own request comes back. */
export const ECHO: Dialect = { ...AIPASSD, hello: '' };

/** Asks one server on one connection. */
export class Asker {
  readonly #socket: Socket;
  readonly #dialect: Dialect;
  #awaited = 0;
  #done: (() => void) | undefined;
  #id = 0;
  #watch: ((chunk: string) => void) | undefined;

  private constructor(socket: Socket, dialect: Dialect) {
    this.#socket = socket;
    this.#dialect = dialect;
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => this.#count(chunk));
  }

  /** Connects and says hello. */
  static async open(path: string, dialect: Dialect): Promise<Asker> {
    const socket = createConnection(path);
    const asker = new Asker(socket, dialect);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    if (dialect.hello !== '') await asker.send(dialect.hello, 1);
    return asker;
  }

  /** Sends text and waits for a number of frames. */
  send(text: string, frames: number): Promise<void> {
    return new Promise((resolve) => {
      this.#awaited = frames;
      this.#done = resolve;
      this.#socket.write(text);
    });
  }

  /** Makes one round trip after the other; returns each one's milliseconds. */
  async roundTrips(count: number): Promise<number[]> {
    const samples: number[] = [];
    for (let index = 0; index < count; index += 1) {
      const text = this.#dialect.request(++this.#id);
      const began = performance.now();
      await this.send(text, 1);
      samples.push(performance.now() - began);
    }
    return samples;
  }

  /** Keeps `depth` requests in flight until `count` are answered; returns requests a second. */
  async pipelined(count: number, depth: number): Promise<number> {
    const began = performance.now();
    for (let sent = 0; sent < count; sent += depth) {
      let text = '';
      for (let index = 0; index < depth; index += 1) text += this.#dialect.request(++this.#id);
      await this.send(text, depth);
    }
    return (count / (performance.now() - began)) * 1000;
  }

  /**
   * Sends one request; resolves with the times of the first frame, and of the reply behind its
   * chunks.
   */
  async untilReply(text: string): Promise<{ readonly first: number; readonly whole: number }> {
    const began = performance.now();
    let first = 0;
    return new Promise((resolve, reject) => {
      this.#watch = (chunk) => {
        first ||= performance.now() - began;
        if (chunk.includes('{"type":"error"')) reject(new Error(chunk.slice(0, 500)));
        else if (chunk.includes('{"type":"reply"')) resolve({ first, whole: performance.now() - began });
      };
      this.#socket.write(text);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #count(chunk: string): void {
    this.#watch?.(chunk);
    for (let at = chunk.indexOf(this.#dialect.end); at !== -1; at = chunk.indexOf(this.#dialect.end, at + 1)) {
      this.#awaited -= 1;
    }
    if (this.#awaited <= 0) this.#done?.();
  }
}
