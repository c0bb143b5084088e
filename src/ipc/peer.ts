/**
 * The sending half of one connection. Replies of one tick leave in one write, and a peer that does not read what it
 * asked for is not read from either, until it has taken what waits for it.
 */

import type { Socket } from 'node:net';
import { printFrame } from '../protocol/frames.ts';
import type { DaemonMessage } from '../protocol/messages.ts';

/** Is how much may wait for a peer before reading from it pauses: enough to keep a fast reader busy. */
const HIGH_WATER_BYTES = 1024 * 1024;

/** Is how long a peer may take to read the error that ends its connection. */
const FAREWELL_LIMIT_MS = 1000;

/** Sends messages to one peer. */
export class Peer {
  readonly #socket: Socket;
  #waiting = '';
  #resumedAt = 0;
  #ending = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Tells whether reading is paused until the peer has taken what waits for it. */
  get isPaused(): boolean {
    return this.#socket.isPaused();
  }

  /** Returns when reading last resumed, on the monotonic clock in milliseconds. */
  get resumedAt(): number {
    return this.#resumedAt;
  }

  /** Tells whether the connection is closed or about to be. */
  get isEnding(): boolean {
    return this.#ending || this.#socket.destroyed;
  }

  /** Sends one message; what is sent after the end is dropped. */
  send(message: DaemonMessage): void {
    if (this.isEnding) return;
    if (this.#waiting === '') process.nextTick(this.#flush);
    this.#waiting += printFrame(message.type, message.data);
    if (this.#socket.writableLength + this.#waiting.length > HIGH_WATER_BYTES) this.#pause();
  }

  /** Resolves when the peer has room for more, or is gone. */
  async ready(): Promise<void> {
    while (!this.isEnding && this.#socket.writableLength + this.#waiting.length > HIGH_WATER_BYTES) {
      await new Promise<void>((resolve) => {
        const done = (): void => {
          this.#socket.off('drain', done);
          this.#socket.off('close', done);
          resolve();
        };
        this.#socket.on('drain', done);
        this.#socket.on('close', done);
      });
    }
  }

  /** Sends what waits, ends the connection, and destroys it when the peer does not take the end. */
  end(): void {
    if (this.isEnding) return;
    this.#flush();
    this.#ending = true;
    this.#socket.pause();
    this.#socket.end();
    const limit = setTimeout(() => this.#socket.destroy(), FAREWELL_LIMIT_MS);
    limit.unref();
    this.#socket.once('close', () => clearTimeout(limit));
  }

  readonly #flush = (): void => {
    const text = this.#waiting;
    this.#waiting = '';
    if (text !== '' && !this.#socket.destroyed) this.#socket.write(text);
  };

  #pause(): void {
    if (this.#socket.isPaused()) return;
    this.#socket.pause();
    void this.ready().then(() => {
      if (this.isEnding) return;
      this.#resumedAt = performance.now();
      this.#socket.resume();
    });
  }
}
