/**
 * Shares the event loop between connections. Frames that arrive in bulk are handled in turns, a few per
 * connection, so that one request does not wait behind a hundred thousand requests of another peer.
 *
 * A connection whose frames wait is not read from. One that does not read its replies gets no turn.
 */

import type { SocketState } from './socket-state.ts';

/** Number of frames of one chunk that are handled at once: what a busy client usually has in flight. */
export const AT_ONCE = 64;

/** Time that the turns of one pass through the event loop may take, in milliseconds. */
const PASS_MS = 3;

/** Number of frames of one connection that are handled before the next connection has its turn. */
const PER_TURN = 8;

/** Handles one frame; must not throw. */
export type HandleFrame = (socket: SocketState, frame: string) => void;

/** Round-robin queue of connections that have frames waiting. */
export class FairQueue {
  readonly #handle: HandleFrame;
  readonly #sockets = new Set<SocketState>();
  #scheduled = false;

  constructor(handle: HandleFrame) {
    this.#handle = handle;
  }

  /** Adds a connection that has frames waiting. */
  add(socket: SocketState): void {
    socket.peer.hold();
    this.#sockets.add(socket);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#pass);
  }

  readonly #pass = (): void => {
    this.#scheduled = false;
    const deadline = performance.now() + PASS_MS;
    while (this.#sockets.size > 0 && performance.now() < deadline) {
      for (const socket of this.#sockets) {
        this.#turn(socket);
        // Moved to the end, so that the next pass begins with connections that had no turn.
        if (this.#sockets.delete(socket) && socket.backlog.length > 0) this.#sockets.add(socket);
        if (performance.now() >= deadline) break;
      }
    }
    if (this.#sockets.size === 0 || this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#pass);
  };

  #turn(socket: SocketState): void {
    const { peer, backlog } = socket;
    for (const frame of backlog.splice(0, PER_TURN)) {
      if (!peer.isEnding) this.#handle(socket, frame);
    }
    if (peer.isEnding) backlog.length = 0;
    if (backlog.length === 0) {
      peer.release();
    } else if (peer.isFull) {
      this.#sockets.delete(socket);
      void peer.ready().then(() => this.add(socket));
    }
  }
}
