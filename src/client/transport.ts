/**
 * One connection to the daemon: writes frames, reads frames, and reports once why it ended.
 *
 * Where the daemon's queue of new connections is full for a moment, the connection is tried again;
 * messages wait meanwhile.
 */

import { createConnection, type Socket } from 'node:net';
import { AipassError, systemErrorCode } from '../base/errors.ts';
import { parseEnvelope, printFrame, readFrames, type PartialFrame } from '../protocol/frames.ts';
import { type ClientMessage, MAX_ANSWER_BYTES } from '../protocol/messages.ts';
import { describeConnectFailure } from './failures.ts';

/** Time for which a daemon with a full queue is tried again, in milliseconds. */
const CONNECT_LIMIT_MS = 10_000;

/** Pause between two tries, in milliseconds: a living daemon accepts a whole queue in less. */
const TRY_AGAIN_MS = 25;

/** Receiver of what a transport reads. */
export interface TransportListener {
  readonly onMessage: (type: string, data: unknown) => void;
  /** Called exactly once, with the reason where there is a better one than "closed". */
  readonly onClose: (reason: AipassError | undefined) => void;
}

/** One connection. */
export class Transport {
  readonly #path: string;
  readonly #listener: TransportListener;
  readonly #since = performance.now();
  #socket: Socket;
  #again: NodeJS.Timeout | undefined;
  #isOpen = false;
  #isEnding = false;
  #isHeld = true;
  #partial: PartialFrame | undefined;
  #waiting = '';
  #reason: AipassError | undefined;

  constructor(path: string, listener: TransportListener) {
    this.#path = path;
    this.#listener = listener;
    this.#socket = this.#connect();
  }

  /** Sends one message, with others of one tick. Returns the characters of its frame. */
  send(message: ClientMessage): number {
    const frame = printFrame(message.type, message.data);
    if (this.#waiting === '') process.nextTick(this.#flush);
    this.#waiting += frame;
    return frame.length;
  }

  /** Keeps the process alive while an answer is awaited, and only then. */
  hold(isHeld: boolean): void {
    this.#isHeld = isHeld;
    for (const one of [this.#socket, this.#again]) {
      if (isHeld) one?.ref();
      else one?.unref();
    }
  }

  /** Ends the connection, after what was sent. */
  end(): void {
    this.#isEnding = true;
    clearTimeout(this.#again);
    this.#write();
    this.#socket.end();
    // The daemon ends its side at once; a dead one never does.
    this.hold(false);
  }

  /** Ends the connection now. */
  destroy(reason: AipassError): void {
    this.#reason ??= reason;
    this.#isEnding = true;
    if (this.#again) {
      clearTimeout(this.#again);
      this.#again = undefined;
      process.nextTick(() => this.#listener.onClose(this.#reason));
    } else this.#socket.destroy();
  }

  #connect(): Socket {
    const socket = createConnection({ path: this.#path });
    if (!this.#isHeld) socket.unref();
    let failure: Error | undefined;
    socket.setEncoding('utf8');
    socket.on('connect', () => {
      this.#isOpen = true;
      this.#write();
    });
    socket.on('data', (chunk: string) => this.#read(chunk));
    socket.on('error', (error) => {
      failure = error;
    });
    socket.on('close', () => {
      const isFull = !this.#isOpen && systemErrorCode(failure) === 'EAGAIN';
      if (isFull && !this.#isEnding && performance.now() - this.#since < CONNECT_LIMIT_MS) this.#tryAgain();
      else {
        this.#reason ??= failure && describeConnectFailure(this.#path, failure);
        this.#listener.onClose(this.#reason);
      }
    });
    return socket;
  }

  #tryAgain(): void {
    this.#again = setTimeout(() => {
      this.#again = undefined;
      this.#socket = this.#connect();
    }, TRY_AGAIN_MS);
    if (!this.#isHeld) this.#again.unref();
  }

  readonly #flush = (): void => {
    if (this.#isOpen) this.#write();
  };

  #write(): void {
    const text = this.#waiting;
    this.#waiting = '';
    if (text !== '' && this.#socket.writable) this.#socket.write(text);
  }

  #read(chunk: string): void {
    try {
      this.#partial = readFrames(this.#partial, chunk, MAX_ANSWER_BYTES, (frame) => {
        const { type, data } = parseEnvelope(frame);
        this.#listener.onMessage(type, data);
      });
    } catch (error) {
      this.destroy(
        new AipassError('INTERNAL', 'the program on the socket is not aipassd', {
          hint: `see what listens on ${this.#path}`,
          cause: error,
        }),
      );
    }
  }
}
