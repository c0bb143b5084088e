/**
 * The sending half of one connection. Replies of one tick leave in one write, and a peer that does not read what it
 * asked for is not read from either, until it has taken what waits for it.
 */

import type { Socket } from 'node:net';
import { isLongerThan, printFrame } from '../protocol/frames.ts';
import { MAX_ANSWER_BYTES } from '../protocol/limits.ts';
import type { DaemonMessage } from '../protocol/messages.ts';
import { answerTooLong } from './refusals.ts';

/** Is how much may wait for a peer before reading from it pauses: enough to keep a fast reader busy. */
const HIGH_WATER_BYTES = 1024 * 1024;

/** Is how long a peer may take nothing of what it was sent before the end, and how long it may then take to end its side. */
const FAREWELL_LIMIT_MS = 1000;

/** Sends messages to one peer. */
export class Peer {
  readonly #socket: Socket;
  readonly #beforeWrite: () => void;
  #waiting = '';
  #room: Promise<void> | undefined;
  #resumedAt = 0;
  #held = false;
  #waitsForRoom = false;
  #ending = false;

  /** Calls `beforeWrite` before each write, so that what must be on disk before a reply is. */
  constructor(socket: Socket, beforeWrite: () => void) {
    this.#socket = socket;
    this.#beforeWrite = beforeWrite;
  }

  /** Returns the bytes that wait for the peer to take them. */
  get waitingBytes(): number {
    return this.#socket.writableLength + this.#waiting.length;
  }

  /** Tells whether reading is paused until the peer has taken what waits for it. */
  get isPaused(): boolean {
    return this.#socket.isPaused();
  }

  /** Tells whether so much waits for the peer that it must take some first. */
  get isFull(): boolean {
    return this.waitingBytes > HIGH_WATER_BYTES;
  }

  /** Reads nothing more until `release`. */
  hold(): void {
    this.#held = true;
    this.#socket.pause();
  }

  /** Reads again, once the peer has taken what waits for it. */
  release(): void {
    this.#held = false;
    if (!this.#waitsForRoom) this.#resume();
  }

  /** Returns when reading last resumed, on the monotonic clock in milliseconds. */
  get resumedAt(): number {
    return this.#resumedAt;
  }

  /** Tells whether the connection is closed or about to be. */
  get isEnding(): boolean {
    return this.#ending || this.#socket.destroyed;
  }

  /** Sends one message; what is sent after the end is dropped. @throws AipassError BAD_REQUEST for one that no client takes. */
  send(message: DaemonMessage): void {
    if (this.isEnding) return;
    const frame = printFrame(message.type, message.data);
    if (isLongerThan(frame, MAX_ANSWER_BYTES)) throw answerTooLong();
    if (this.#waiting === '') process.nextTick(this.#flush);
    this.#waiting += frame;
    if (this.isFull) this.#pause();
  }

  /** Resolves when the peer has room for more, or is gone. */
  async ready(): Promise<void> {
    // All who wait share one wait: each with listeners of its own would be a thousand listeners.
    while (!this.isEnding && this.isFull) await (this.#room ??= this.#drained());
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
    if (text === '' || this.#socket.destroyed) return;
    this.#beforeWrite();
    this.#socket.write(text);
  };

  #pause(): void {
    if (this.#waitsForRoom) return;
    this.#waitsForRoom = true;
    this.#socket.pause();
    void this.ready().then(() => {
      this.#waitsForRoom = false;
      if (!this.#held) this.#resume();
    });
  }

  #resume(): void {
    if (this.isEnding) return;
    this.#resumedAt = performance.now();
    this.#socket.resume();
  }
}
