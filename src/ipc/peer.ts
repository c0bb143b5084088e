/**
 * The sending half of one connection. Replies of one turn of the event loop leave in one write,
 * once what was recorded is on disk. While a peer does not read its replies, the daemon does not
 * read its requests.
 */

import type { Socket } from 'node:net';
import { AipassError } from '../base/errors.ts';
import type { GroupCommit } from '../base/group-commit.ts';
import { printSpliced, splicesOf } from '../base/spliced-json.ts';
import { isLongerThan, printFrame } from '../protocol/frames.ts';
import { type DaemonMessage, FRAME_END, MAX_ANSWER_BYTES } from '../protocol/messages.ts';

/** Bytes that may wait for a peer before reading from it pauses: enough for a fast reader. */
const HIGH_WATER_BYTES = 1024 * 1024;

/** Time for a closing peer to read something, and then to close its side, in milliseconds. */
const CLOSE_LIMIT_MS = 1000;

export class Peer {
  readonly #socket: Socket;
  readonly #commit: GroupCommit;
  #waiting = '';
  #room: Promise<void> | undefined;
  #resumedAt = 0;
  #held = false;
  #waitsForRoom = false;
  #ending = false;

  constructor(socket: Socket, commit: GroupCommit) {
    this.#socket = socket;
    this.#commit = commit;
  }

  /** Bytes that the peer has not read yet. */
  get waitingBytes(): number {
    return this.#socket.writableLength + this.#waiting.length;
  }

  get isPaused(): boolean {
    return this.#socket.isPaused();
  }

  /** Whether the peer must read some of its replies before more are produced. */
  get isFull(): boolean {
    return this.waitingBytes > HIGH_WATER_BYTES;
  }

  /** Pauses reading until `release`. */
  hold(): void {
    this.#held = true;
    this.#socket.pause();
  }

  /** Resumes reading, once the peer has read its replies. */
  release(): void {
    this.#held = false;
    if (!this.#waitsForRoom) this.#resume();
  }

  /** Time when reading last resumed, on the monotonic clock, in milliseconds. */
  get resumedAt(): number {
    return this.#resumedAt;
  }

  /** Whether the connection is closed or about to be. */
  get isEnding(): boolean {
    return this.#ending || this.#socket.destroyed;
  }

  /** Sends one message; drops it after the end. Throws BAD_REQUEST over the clients' limit. */
  send(message: DaemonMessage): void {
    if (this.isEnding) return;
    const frame = printFrame(message.type, message.data);
    const splices = splicesOf(contentOf(message));
    if (splices) {
      this.#sendPieces(printSpliced(frame, splices));
      return;
    }
    if (isLongerThan(frame, MAX_ANSWER_BYTES)) throw answerTooLong();
    if (this.#waiting === '') void this.#commit.wait().then(this.#flush);
    this.#waiting += frame;
    if (this.isFull) this.#pause();
  }

  /** Sends a frame in pieces, so that a long one is neither joined nor encoded anew. */
  #sendPieces(pieces: readonly (string | Buffer)[]): void {
    const bytes = pieces.reduce((sum, piece) => sum + Buffer.byteLength(piece), 0);
    if (bytes - FRAME_END.length > MAX_ANSWER_BYTES) throw answerTooLong();
    this.#flush();
    if (this.#socket.destroyed) return;
    this.#commit.commit();
    for (const piece of pieces) this.#socket.write(piece);
    if (this.isFull) this.#pause();
  }

  /** Resolves when the peer can take more, or is gone. */
  async ready(): Promise<void> {
    // All callers share one wait: a thousand requests in flight must not add a thousand listeners.
    while (!this.isEnding && this.isFull) await (this.#room ??= this.#drained());
  }

  /** Sends a text that is not a frame, and ends the connection. */
  endWith(text: string): void {
    if (this.isEnding) return;
    this.#waiting += text;
    this.end();
  }

  /** Sends what waits, ends the connection, and destroys it if the peer does not follow. */
  end(): void {
    if (this.isEnding) return;
    this.#flush();
    this.#ending = true;
    const destroy = (): void => {
      this.#socket.destroy();
    };
    // Nothing is read until the peer has read everything; one that reads nothing for so long is
    // stopped.
    this.#socket.pause();
    this.#socket.setTimeout(CLOSE_LIMIT_MS, destroy);
    this.#socket.end(() => {
      // What still arrives is read and dropped: without reading, the end of the peer's side stays
      // unseen.
      this.#socket.resume();
      const limit = setTimeout(destroy, CLOSE_LIMIT_MS);
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
    this.#commit.commit();
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

function contentOf(message: DaemonMessage): unknown {
  if (message.type === 'reply') return message.data.result;
  return message.type === 'chunk' ? message.data.data : undefined;
}

/** The error of an answer over the clients' limit fails its own request only. */
function answerTooLong(): AipassError {
  return new AipassError('BAD_REQUEST', `the answer is longer than the limit of ${MAX_ANSWER_BYTES} bytes`, {
    hint: 'ask for less at once; for a completion, set max_tokens',
  });
}
