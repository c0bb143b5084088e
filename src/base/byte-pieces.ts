/**
 * Bytes that come in pieces and are wanted as a whole. Small pieces are copied together: kept as
 * they come, what is sent in pieces of one byte would take a hundred times its size. Pure.
 */

const EMPTY = Buffer.alloc(0);

/** Size of a block of small pieces, in bytes. */
const BLOCK_BYTES = 16 * 1024;

/** Pieces that are kept as they come before small ones are copied. */
const KEPT_PIECES = 8;

/** Size from which a piece is kept as it comes, in bytes. */
const LARGE_BYTES = 4 * 1024;

/** Collects bytes that come in pieces. */
export class BytePieces {
  #kept: Buffer[] = [];
  /** Block of small pieces; what is between its marks is not among the kept ones yet. */
  #block = EMPTY;
  #start = 0;
  #used = 0;
  #bytes = 0;

  /** Length of what was added, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Number of buffers that are kept. */
  get count(): number {
    return this.#kept.length + (this.#used > this.#start ? 1 : 0);
  }

  add(piece: Buffer): void {
    if (piece.length === 0) return;
    this.#bytes += piece.length;
    // Most come in one piece, or in few.
    if (piece.length >= LARGE_BYTES || this.#kept.length < KEPT_PIECES) {
      this.#closeBlock();
      this.#kept.push(piece);
      return;
    }
    if (this.#used + piece.length > this.#block.length) {
      this.#closeBlock();
      this.#block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
      this.#start = 0;
      this.#used = 0;
    }
    this.#used += piece.copy(this.#block, this.#used);
  }

  /** Returns all bytes with the last ones behind them, and begins anew. */
  take(last: Buffer = EMPTY): Buffer {
    this.#closeBlock();
    const pieces = this.#kept;
    if (last.length > 0) pieces.push(last);
    this.#kept = [];
    this.#block = EMPTY;
    this.#start = 0;
    this.#used = 0;
    this.#bytes = 0;
    const [only = EMPTY] = pieces;
    return pieces.length <= 1 ? only : Buffer.concat(pieces);
  }

  #closeBlock(): void {
    if (this.#used > this.#start) this.#kept.push(this.#block.subarray(this.#start, this.#used));
    this.#start = this.#used;
  }
}
