/**
 * The sending half of one connection. Replies of one tick leave in one write, and a peer that does not read what it
 * asked for is not read from either, until it has taken what waits for it.
 */

import type { Socket } from 'node:net';
import { printFrame } from '../protocol/frames.ts';
import type { DaemonMessage } from '../protocol/messages.ts';

/** Is how much may wait for a peer before reading from it pauses: enough to keep a fast reader busy. */
const HIGH_WATER_BYTES = 1024 * 1024;

/** Is how long a peer may take nothing of what it was sent before the end, and how long it may then take to end its side. */
const FAREWELL_LIMIT_MS = 1000;

/** Sends messages to one peer. */
export class Peer {
  readonly #socket: Socket;
  #waiting = '';
  #room: Promise<void> | undefined;
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
    if (this.#isFull) this.#pause();
  }

  /** Resolves when the peer has room for more, or is gone. */
  async ready(): Promise<void> {
    // All who wait share one wait: each with listeners of its own would be a thousand listeners.
    while (!this.isEnding && this.#isFull) await (this.#room ??= this.#drained());
  }

  /** Sends what waits, ends the connection, and destroys it when the peer does not take part in that. */
  end(): void {
    if (this.isEnding) return;
    this.#flush();
    this.#ending = true;
    const destroy = (): void => {
      this.#socket.destroy();
    };
    // Until everything is taken nothing is read; a peer that takes nothing for so long has gone to sleep.
    this.#socket.pause();
    this.#socket.setTimeout(FAREWELL_LIMIT_MS, destroy);
    this.#socket.end(() => {
      // Then what still comes is read and dropped: only who reads learns that the peer has ended its side, too.
      this.#socket.resume();
      const limit = setTimeout(destroy, FAREWELL_LIMIT_MS);
      limit.unref();
      this.#socket.once('close', () => clearTimeout(limit));
    });
  }

  get #isFull(): boolean {
    return this.#socket.writableLength + this.#waiting.length > HIGH_WATER_BYTES;
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#socket.off('drain', done);
        this.#socket.off('close', done);
        this.#room = undefined;
        resolve();
      };
      this.#socket.on('drain', done);
      this.#socket.on('close', done);
    });
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
