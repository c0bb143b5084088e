/**
 * Shares the loop between connections: what one sends in bulk is dealt with in turns, a little of each at a time, so that
 * one who asks once is not behind a hundred thousand requests of another.
 *
 * A connection whose frames wait for their turn is not read from, and one that does not read its replies has no turn.
 */

import type { Line } from './line.ts';

/** Is how many frames of one chunk are dealt with at once: what a client that does many things at a time has in flight. */
export const AT_ONCE = 64;

/** Is how long the turns of one pass through the loop may take, in milliseconds. */
const PASS_MS = 3;

/** Is how many frames of one connection are dealt with before the next has its turn. */
const PER_TURN = 8;

/** Deals with one frame; must not throw. */
export type HandleFrame = (line: Line, frame: string) => void;

/** Gives connections their turns. */
export class Turns {
  readonly #handle: HandleFrame;
  readonly #lines = new Set<Line>();
  #scheduled = false;

  constructor(handle: HandleFrame) {
    this.#handle = handle;
  }

  /** Lets a connection that has frames waiting take part. */
  add(line: Line): void {
    line.peer.hold();
    this.#lines.add(line);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#pass);
  }

  readonly #pass = (): void => {
    this.#scheduled = false;
    const deadline = performance.now() + PASS_MS;
    while (this.#lines.size > 0 && performance.now() < deadline) {
      for (const line of this.#lines) {
        this.#turn(line);
        // Who had a turn goes to the end, so that the next pass begins with those who had none.
        if (this.#lines.delete(line) && line.backlog.length > 0) this.#lines.add(line);
        if (performance.now() >= deadline) break;
      }
    }
    if (this.#lines.size === 0 || this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#pass);
  };

  #turn(line: Line): void {
    const { peer, backlog } = line;
    for (const frame of backlog.splice(0, PER_TURN)) {
      if (!peer.isEnding) this.#handle(line, frame);
    }
    if (peer.isEnding) backlog.length = 0;
    if (backlog.length === 0) {
      peer.release();
    } else if (peer.isFull) {
      this.#lines.delete(line);
      void peer.ready().then(() => this.add(line));
    }
  }
}
