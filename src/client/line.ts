/**
 * One open connection to the daemon: writes frames, reads frames, and says once why it ended.
 */

import { createConnection, type Socket } from 'node:net';
import { AipassError, systemErrorCode } from '../base/errors.ts';
import { parseEnvelope, printFrame, readFrames, type PartialFrame } from '../protocol/frames.ts';
import { MAX_ANSWER_BYTES } from '../protocol/limits.ts';
import type { ClientMessage } from '../protocol/messages.ts';

/** Hears what a line has to say. */
export interface LineListener {
  readonly onMessage: (type: string, data: unknown) => void;
  /** Is called exactly once, with the reason where there is a better one than "closed". */
  readonly onClose: (reason: AipassError | undefined) => void;
}

/** Is one connection. */
export class Line {
  readonly #path: string;
  readonly #socket: Socket;
  readonly #listener: LineListener;
  #partial: PartialFrame | undefined;
  #waiting = '';
  #reason: AipassError | undefined;

  constructor(path: string, listener: LineListener) {
    this.#path = path;
    this.#listener = listener;
    this.#socket = createConnection({ path });
    this.#socket.setEncoding('utf8');
    this.#socket.on('data', (chunk: string) => this.#read(chunk));
    this.#socket.on('error', (error) => {
      this.#reason ??= this.#explain(error);
    });
    this.#socket.on('close', () => this.#listener.onClose(this.#reason));
  }

  /** Sends one message; messages of one tick leave in one write. Returns the characters of its frame. */
  send(message: ClientMessage): number {
    const frame = printFrame(message.type, message.data);
    if (this.#waiting === '') process.nextTick(this.#flush);
    this.#waiting += frame;
    return frame.length;
  }

  /** Keeps the process alive while an answer is awaited, and only then. */
  hold(isHeld: boolean): void {
    if (isHeld) this.#socket.ref();
    else this.#socket.unref();
  }

  /** Ends the connection, after what was sent. */
  end(): void {
    this.#flush();
    this.#socket.end();
    // The daemon ends its side at once; a dead one never does.
    this.#socket.unref();
  }

  /** Ends the connection now. */
  destroy(reason: AipassError): void {
    this.#reason ??= reason;
    this.#socket.destroy();
  }

  readonly #flush = (): void => {
    const text = this.#waiting;
    this.#waiting = '';
    if (text !== '' && this.#socket.writable) this.#socket.write(text);
  };

  #read(chunk: string): void {
    try {
      this.#partial = readFrames(this.#partial, chunk, MAX_ANSWER_BYTES, (frame) => {
        const { type, data } = parseEnvelope(frame);
        this.#listener.onMessage(type, data);
      });
    } catch (error) {
      this.destroy(
        new AipassError('INTERNAL', 'what answered on the socket is no aipassd', {
          hint: `look at what listens on ${this.#path}`,
          cause: error,
        }),
      );
    }
  }

  #explain(error: Error): AipassError | undefined {
    switch (systemErrorCode(error)) {
      case 'ENOENT':
      case 'ECONNREFUSED':
        return new AipassError('DAEMON_UNREACHABLE', `aipassd is not running (no daemon answers on ${this.#path})`, {
          hint: 'start it: aipassd run',
          cause: error,
        });
      case 'EACCES':
      case 'EPERM':
        return new AipassError('FORBIDDEN', `the socket ${this.#path} belongs to another user`, {
          hint: 'run as the user whose daemon it is, or start your own: aipassd run',
          cause: error,
        });
      case 'EINVAL':
      case 'ENAMETOOLONG':
        return new AipassError('BAD_REQUEST', `the socket's path is too long: ${this.#path}`, {
          hint: 'set AIPASSD_RUNTIME_DIR to a folder with a shorter path, for daemon and clients alike',
          cause: error,
        });
      default:
        return undefined;
    }
  }
}
