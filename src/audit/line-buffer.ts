/**
 * Audit entries that wait to be written, as bytes: encoded once, so that hashing and writing need not do it again.
 */

import { writeSync } from 'node:fs';

/** Size of the buffer, in bytes: the entries of one tick, some 200. It grows when needed. */
const ROOM_BYTES = 64 * 1024;

/** Maximum number of bytes that one UTF-16 unit takes in UTF-8. */
const MAX_BYTES_PER_UNIT = 3;

const END_OF_LINE = 0x0a;

/** Lines that wait until a file takes them. */
export class LineBuffer {
  #bytes = Buffer.allocUnsafe(ROOM_BYTES);
  /** Beginning and end of what no file has taken. */
  #from = 0;
  #to = 0;

  /** Number of bytes that wait. */
  get waiting(): number {
    return this.#to - this.#from;
  }

  /** Adds a line, given without its end, and returns its bytes, likewise; they are good until the next call. */
  add(line: string): Uint8Array {
    this.#makeRoom(line.length * MAX_BYTES_PER_UNIT + 1);
    const start = this.#to;
    const end = start + this.#bytes.write(line, start);
    this.#bytes[end] = END_OF_LINE;
    this.#to = end + 1;
    return this.#bytes.subarray(start, end);
  }

  /** Writes waiting bytes to the end of a file. Throws as `writeSync` does; what was not written then still waits. */
  writeTo(fd: number): void {
    // A disk that is just full takes a part.
    while (this.#from < this.#to) this.#from += writeSync(fd, this.#bytes, this.#from, this.#to - this.#from);
    this.#from = 0;
    this.#to = 0;
    if (this.#bytes.length > ROOM_BYTES) this.#bytes = Buffer.allocUnsafe(ROOM_BYTES);
  }

  /** Makes a line that a file took in part wait as a whole again, because the next file is another one. */
  rewind(): void {
    if (this.#from > 0) this.#from = this.#bytes.lastIndexOf(END_OF_LINE, this.#from - 1) + 1;
  }

  #makeRoom(bytes: number): void {
    if (this.#to + bytes <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#to + bytes));
    this.#bytes.copy(larger, 0, 0, this.#to);
    this.#bytes = larger;
  }
}
