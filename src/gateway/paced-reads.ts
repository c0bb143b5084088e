/**
 * Paces what node:http reads from its connections. Its parser handles all of the 64 KB that it was
 * handed, two thousand small requests, before anything else gets a turn. So it is handed a few
 * lines at a time, in turns with the other connections. It gets nothing while requests before them
 * wait for their answers.
 */

import type { Socket } from 'node:net';
import { FairTurns } from '../base/fair-turns.ts';

/**
 * Lines of one turn: more than the header section of a usual request has. A body without CR is not
 * cut.
 */
const LINES_PER_TURN = 64;

/** Length of a chunk that is one piece whatever it holds, in bytes. */
const SHORT_BYTES = 2048;

const CR = 0x0d;

/** Paces connections in turns with one another. */
export class ReadPacer {
  readonly #turns = new FairTurns<PacedReads>((reads) => reads.turn());

  /**
   * Begins to pace a connection that a server of node:http has just accepted. Nothing is read while
   * `isBusy`; the caller calls `wake` when that may have ended.
   */
  pace(socket: Socket, isBusy: () => boolean): PacedReads {
    return new PacedReads(socket, isBusy, this.#turns);
  }
}

/** Bytes of one connection that wait for the parser. */
export class PacedReads {
  readonly #socket: Socket;
  readonly #isBusy: () => boolean;
  readonly #turns: FairTurns<PacedReads>;
  readonly #pushEnd: () => boolean;
  /** Pieces that wait, in order; null is the end. */
  readonly #waiting: (Buffer | null)[] = [];
  /** Whether the reading has stopped until nothing waits. */
  #isHeld = false;

  constructor(socket: Socket, isBusy: () => boolean, turns: FairTurns<PacedReads>) {
    this.#socket = socket;
    this.#isBusy = isBusy;
    this.#turns = turns;
    this.#pushEnd = socket.push.bind(socket, null);
    // How a stream is fed (nodejs.org, "Implementing a readable stream"): false stops the reading.
    socket.push = (chunk: Buffer | null) => this.#receive(chunk);
    // node:http reads from the system by itself until somebody else has listened, too.
    socket.on('data', ignore).off('data', ignore);
    socket.on('resume', this.wake);
  }

  /** Goes on where it waited for answers, or for the client to read them. */
  readonly wake = (): void => {
    if (this.#waiting.length > 0) this.#turns.add(this);
  };

  /** Hands one piece to the parser. Returns whether more is waiting that can be handled now. */
  turn(): boolean {
    if (this.#socket.destroyed) this.#waiting.length = 0;
    if (this.#waiting.length === 0 || this.#isBusy() || this.#socket.isPaused()) return false;
    const piece = this.#waiting.shift() ?? null;
    // A flowing stream emits its data at once: `push` would only buffer it.
    if (piece === null) this.#pushEnd();
    else this.#socket.emit('data', piece);
    if (this.#waiting.length > 0) return true;
    if (this.#isHeld) {
      this.#isHeld = false;
      this.#socket._read(0);
    }
    return false;
  }

  #receive(chunk: Buffer | null): boolean {
    queuePieces(chunk, this.#waiting);
    this.#turns.run(this);
    this.#isHeld = this.#waiting.length > 0;
    return !this.#isHeld;
  }
}

function ignore(): void {}

/** Queues a chunk in pieces that have few lines each. */
function queuePieces(chunk: Buffer | null, pieces: (Buffer | null)[]): void {
  if (chunk === null || chunk.length <= SHORT_BYTES) {
    pieces.push(chunk);
    return;
  }
  let begin = 0;
  let lines = 0;
  for (let at = chunk.indexOf(CR); at !== -1; at = chunk.indexOf(CR, at + 1)) {
    lines += 1;
    if (lines % LINES_PER_TURN !== 0) continue;
    pieces.push(chunk.subarray(begin, at + 1));
    begin = at + 1;
  }
  if (begin < chunk.length) pieces.push(chunk.subarray(begin));
}
