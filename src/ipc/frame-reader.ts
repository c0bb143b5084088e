/**
 * The reading half of the parser that node-ipc gets: cuts chunks into frames, queues frames that
 * arrive in bulk, and contains every failure. What node-ipc dispatches comes back here and goes to
 * its connection.
 */

import { dirname, join } from 'node:path';
import { AipassError } from '../base/errors.ts';
import { FairTurns } from '../base/fair-turns.ts';
import type { Logger } from '../base/logger.ts';
import { FrameError, parseEnvelope, readFrames } from '../protocol/frames.ts';
import { countWaiting, tooMuchWaiting, type SocketState } from './socket-state.ts';

/** Message types that may reach node-ipc's dispatcher; its own events use the same emitter. */
export const PASSED_ON: readonly string[] = ['hello', 'request', 'cancel'];

/** Frames of one chunk that are handled at once: what a busy client usually has in flight. */
const AT_ONCE = 64;

/** Number of frames of one connection that are handled before the next connection has its turn. */
const PER_TURN = 8;

/** Beginning of a request line of HTTP (RFC 9112, 3): it never begins a frame. */
const HTTP_REQUEST = /^(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|CONNECT|TRACE) /;

export interface FrameReaderDeps {
  /** Path of this socket. */
  readonly path: string;
  /** Maximum length of a frame, in UTF-8 bytes. */
  readonly frameBytes: number;
  readonly logger: Logger;
}

export class FrameReader {
  readonly #deps: FrameReaderDeps;
  /**
   * Turns of connections whose frames arrive in bulk. A connection whose frames wait is not read
   * from. One that does not read its replies gets no turn.
   */
  readonly #turns = new FairTurns<SocketState>((state) => this.#turn(state));

  constructor(deps: FrameReaderDeps) {
    this.#deps = deps;
  }

  /** Reads a chunk. node-ipc passes and stores what is in `ipcBuffer`. Never throws. */
  readonly read = (
    kept: unknown,
    chunk: string,
    receive: (message: { type: string; data: unknown }) => void,
  ): unknown => {
    if (!isSocketState(kept) || kept.peer.isEnding) return kept;
    const begunAt = performance.now();
    kept.activeAt = begunAt;
    // Hundreds of connections may have sent something since the last pass of the event loop. Who
    // asks one thing at a time never waits behind them.
    const atOnce = this.#turns.hasTime ? AT_ONCE : 1;
    if (kept.partial === undefined && HTTP_REQUEST.test(chunk) && !kept.connection.hasSpoken) {
      kept.peer.endWith(httpRefusal(this.#deps.path));
      return kept;
    }
    try {
      const before = kept.partial;
      let handled = 0;
      kept.partial = readFrames(before, chunk, this.#deps.frameBytes, (frame) => {
        if (kept.peer.isEnding) return;
        handled += 1;
        if (handled > atOnce || kept.backlog.length > 0) {
          kept.backlog.push(frame);
          return;
        }
        const { type, data } = parseEnvelope(frame);
        kept.frameLength = frame.length;
        if (PASSED_ON.includes(type)) receive({ type, data });
        else kept.connection.receive(type, data, frame.length);
      });
      if (kept.backlog.length > 0) this.#queue(kept);
      // Whole frames wait for nothing: only an unfinished one is counted.
      if ((before !== undefined || kept.partial !== undefined) && !countWaiting(kept)) throw tooMuchWaiting();
    } catch (error) {
      kept.partial = undefined;
      kept.connection.fail(describeReadFailure(error, this.#deps.logger));
    }
    this.#turns.spend(performance.now() - begunAt);
    return kept;
  };

  /** Returns node-ipc's listener for messages of one type. */
  deliver(type: string): (data: unknown, socket: { readonly ipcBuffer?: unknown }) => void {
    return (data, { ipcBuffer: state }) => {
      if (isSocketState(state)) state.connection.receive(type, data, state.frameLength);
    };
  }

  #queue(state: SocketState): void {
    state.peer.hold();
    this.#turns.add(state);
  }

  /** Handles some of the frames that wait; returns whether more are waiting. */
  #turn(state: SocketState): boolean {
    const { peer, backlog, connection } = state;
    for (const frame of backlog.splice(0, PER_TURN)) {
      if (peer.isEnding) break;
      try {
        const { type, data } = parseEnvelope(frame);
        connection.receive(type, data, frame.length);
      } catch (error) {
        connection.fail(describeReadFailure(error, this.#deps.logger));
      }
    }
    if (peer.isEnding) backlog.length = 0;
    if (backlog.length === 0) {
      peer.release();
      return false;
    }
    if (!peer.isFull) return true;
    void peer.ready().then(() => this.#queue(state));
    return false;
  }
}

/** Returns the whole HTTP answer for a client that took this socket for the gateway's. */
function httpRefusal(path: string): string {
  const gateway = join(dirname(path), 'gateway.sock');
  const text = `${path} is not the HTTP gateway: use ${gateway}\n`;
  return [
    'HTTP/1.1 400 Bad Request',
    'content-type: text/plain; charset=utf-8',
    `content-length: ${Buffer.byteLength(text)}`,
    'connection: close',
    '',
    text,
  ].join('\r\n');
}

function isSocketState(kept: unknown): kept is SocketState {
  return typeof kept === 'object' && kept !== null && 'connection' in kept;
}

/** Returns the error for an unreadable message or a rejected peer; logs an unexpected one. */
export function describeReadFailure(error: unknown, logger: Logger): AipassError {
  if (error instanceof AipassError) return error;
  if (error instanceof FrameError) {
    return new AipassError('BAD_REQUEST', error.message, {
      hint: error.hint,
    });
  }
  logger.error('reading from a connection failed', { error });
  return new AipassError('INTERNAL', 'the daemon failed to read this message', { hint: 'see the log of the daemon' });
}
