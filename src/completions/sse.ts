/**
 * Server-sent events, byte by byte (WHATWG HTML, 9.2.6): where one event ends, and what data it
 * holds. Pure.
 *
 * The bytes of an event stay as they came, so that they can be passed on unchanged. A line ends
 * with LF, CR or CR LF; an event ends with an empty line. Comments and fields other than `data` and
 * `event` mean nothing to us.
 */

import { BytePieces } from '../base/byte-pieces.ts';
import { ExchangeFailure } from '../providers/http-exchange.ts';

/** The longest event, in bytes: a picture in an answer fits, a stream without an end does not. */
export const MAX_EVENT_BYTES = 16 * 1024 * 1024;

const LF = 0x0a;
const CR = 0x0d;
const COLON = 0x3a;
const SPACE = 0x20;

export class SseSplitter {
  readonly #pending = new BytePieces();
  #isLineEmpty = true;
  #afterCr = false;

  /**
   * Takes bytes, and calls back with each event that they complete: its bytes, the empty line
   * included. Comments before an event are part of it.
   *
   * @throws ExchangeFailure for an event that is too long.
   */
  push(chunk: Buffer, onEvent: (raw: Buffer) => void): void {
    let start = 0;
    let at = 0;
    let nextCr = chunk.indexOf(CR);
    while (at < chunk.length) {
      if (this.#afterCr) {
        this.#afterCr = false;
        if (chunk[at] === LF) {
          at += 1;
          continue;
        }
      }
      if (nextCr !== -1 && nextCr < at) nextCr = chunk.indexOf(CR, at);
      const nextLf = chunk.indexOf(LF, at);
      const end = nextCr !== -1 && (nextLf === -1 || nextCr < nextLf) ? nextCr : nextLf;
      if (end === -1) {
        this.#isLineEmpty = false;
        break;
      }
      const isBlank = this.#isLineEmpty && end === at;
      this.#isLineEmpty = true;
      this.#afterCr = chunk[end] === CR;
      at = end + 1;
      if (!isBlank) continue;
      if (this.#afterCr && chunk[at] === LF) {
        this.#afterCr = false;
        at += 1;
      }
      this.#emit(chunk.subarray(start, at), onEvent);
      start = at;
    }
    if (start === chunk.length) return;
    const rest = start === 0 ? chunk : chunk.subarray(start);
    this.#pending.add(rest);
    if (this.#pending.bytes > MAX_EVENT_BYTES) {
      throw new ExchangeFailure('garbage', `a stream event of more than ${MAX_EVENT_BYTES} bytes`);
    }
  }

  /** Takes the end of the stream: what came without its empty line counts as an event too. */
  end(onEvent: (raw: Buffer) => void): void {
    if (this.#pending.bytes > 0) this.#emit(Buffer.alloc(0), onEvent);
  }

  #emit(piece: Buffer, onEvent: (raw: Buffer) => void): void {
    onEvent(this.#pending.bytes === 0 ? piece : this.#pending.take(piece));
  }
}

/**
 * Returns the data of an event, or undefined where it has none or empty data: then nothing is
 * dispatched.
 */
export function dataOf(raw: Buffer): Buffer | undefined {
  const pieces: Buffer[] = [];
  let at = raw.length > 2 && raw[0] === 0xef && raw[1] === 0xbb && raw[2] === 0xbf ? 3 : 0;
  while (at < raw.length) {
    let end = at;
    const lf = raw.indexOf(LF, at);
    end = lf === -1 ? raw.length : lf;
    const cr = raw.subarray(at, end).indexOf(CR);
    if (cr !== -1) end = at + cr;
    if (isDataField(raw, at, end)) {
      let from = at + 4;
      if (raw[from] === COLON && from < end) from += 1;
      if (raw[from] === SPACE && from < end) from += 1;
      pieces.push(raw.subarray(from, end));
    }
    at = end + 1;
  }
  const [only] = pieces;
  if (only === undefined) return undefined;
  if (pieces.length === 1) return only.length === 0 ? undefined : only;
  const joined = Buffer.concat(pieces.flatMap((piece, index) => (index === 0 ? [piece] : [NEWLINE, piece])));
  return joined.every((byte) => byte === LF) ? undefined : joined;
}

export function isErrorEvent(raw: Buffer): boolean {
  return raw.includes('error') && /(?:^|[\r\n])event: ?error[ \t]*(?:[\r\n]|$)/.test(raw.toString('latin1'));
}

const NEWLINE = Buffer.from('\n');

/** Returns whether the line from `at` to `end` is a field with the name `data`. */
function isDataField(raw: Buffer, at: number, end: number): boolean {
  return (
    end - at >= 4 &&
    raw[at] === 0x64 &&
    raw[at + 1] === 0x61 &&
    raw[at + 2] === 0x74 &&
    raw[at + 3] === 0x61 &&
    (end - at === 4 || raw[at + 4] === COLON)
  );
}
