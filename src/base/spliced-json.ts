/**
 * Long texts of a JSON document that are neither parsed nor printed. A document of 60 MB, most of
 * which is one text, is taken apart as it arrives and put together again as it leaves. So it delays
 * nothing else.
 *
 * In the parsed value a long text is a token. The value remembers what its tokens stand for
 * (`splicesOf`), and whoever prints it puts the bytes back (`printSpliced`). Tokens are random, so
 * that no text can hold one by accident or intent.
 */

import { randomBytes } from 'node:crypto';
import { isUtf8 } from 'node:buffer';
import { isDeeperThan, parseJson } from './json.ts';

/** Bytes of a text, as they are written in JSON between the quotes. */
export type SplicedText = readonly Buffer[];

/** Texts that the tokens of a value stand for. */
export type Splices = ReadonlyMap<string, SplicedText>;

/** The shortest text that is spliced, in bytes: a document that is shorter has none. */
export const MIN_TEXT_BYTES = 64 * 1024;

/**
 * Most levels of objects and arrays in an answer. It leaves in a frame, which may have 500 levels,
 * its envelope included.
 */
export const MAX_LEVELS = 480;

const PREFIX = `aipassd-text-${randomBytes(16).toString('hex')}-`;
const TOKEN = new RegExp(`(${PREFIX}\\d+-)`);

const SPLICES = new WeakMap<object, Splices>();

let tokens = 0;

/** Attaches the texts that the tokens of a value stand for. */
export function attachSplices(value: object, splices: Splices): void {
  if (splices.size > 0) SPLICES.set(value, splices);
}

/** Returns what the tokens of a value stand for, or undefined where it has none. */
export function splicesOf(value: unknown): Splices | undefined {
  return typeof value === 'object' && value !== null ? SPLICES.get(value) : undefined;
}

/** Returns the pieces of a printed value, with its long texts put back. */
export function printSpliced(text: string, splices: Splices): (string | Buffer)[] {
  return text.split(TOKEN).flatMap((piece): (string | Buffer)[] => {
    const spliced = splices.get(piece);
    if (spliced) return [...spliced];
    return piece === '' ? [] : [piece];
  });
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Bytes that are compared one by one for the end of a text: a call costs more than these. */
const NEAR_BYTES = 24;

/**
 * Returns the place of the quote that ends a text, or -1 where the text goes on in the next bytes.
 *
 * @param state whether the byte at `from` is escaped; it is brought up to date where the text goes
 * on.
 */
export function endOfText(chunk: Buffer, from: number, state: { isEscaped: boolean }): number {
  let at = from;
  if (state.isEscaped) {
    state.isEscaped = false;
    at += 1;
  }
  // Most texts are names and other short ones without an escape.
  const near = Math.min(at + NEAR_BYTES, chunk.length);
  for (let place = at; place < near && chunk[place] !== BACKSLASH; place += 1) if (chunk[place] === QUOTE) return place;
  for (;;) {
    const quote = chunk.indexOf(QUOTE, at);
    const limit = quote === -1 ? chunk.length : quote;
    let slashes = 0;
    while (limit - 1 - slashes >= at && chunk[limit - 1 - slashes] === BACKSLASH) slashes += 1;
    const isEscape = slashes % 2 === 1;
    if (quote === -1) {
      state.isEscaped = isEscape;
      return -1;
    }
    if (!isEscape) return quote;
    at = quote + 1;
  }
}

/** Parses a document in pieces. Its long texts are checked as they come, and not kept as text. */
export class SplicingParser {
  readonly #splices: Map<string, SplicedText>;
  readonly #minBytes: number;
  readonly #state = { isEscaped: false };
  #skeleton: Buffer[] = [];
  #inText = false;
  #text: Buffer[] = [];
  #textBytes = 0;
  /** The end of a checked piece that is half a character or half an escape. */
  #carry: Buffer = Buffer.alloc(0);
  #isValid = true;

  /**
   * @param splices where the long texts go.
   * @param minBytes the shortest text that is spliced.
   */
  constructor(splices: Map<string, SplicedText>, minBytes = MIN_TEXT_BYTES) {
    this.#splices = splices;
    this.#minBytes = minBytes;
  }

  push(chunk: Buffer): void {
    let at = 0;
    let copied = 0;
    let textFrom = 0;
    for (;;) {
      if (!this.#inText) {
        const quote = chunk.indexOf(QUOTE, at);
        if (quote === -1) break;
        this.#inText = true;
        this.#state.isEscaped = false;
        this.#text = [];
        this.#textBytes = 0;
        this.#carry = this.#carry.subarray(0, 0);
        at = quote + 1;
        textFrom = at;
      }
      const end = endOfText(chunk, at, this.#state);
      if (end === -1) {
        this.#skeleton.push(chunk.subarray(copied, textFrom));
        this.#keep(chunk.subarray(textFrom));
        return;
      }
      if (this.#textBytes + end - textFrom >= this.#minBytes) {
        this.#skeleton.push(chunk.subarray(copied, textFrom));
        this.#keep(chunk.subarray(textFrom, end));
        this.#splice();
        copied = end;
      } else if (this.#text.length > 0) {
        // It began in an earlier chunk and is short.
        this.#skeleton.push(...this.#text);
      }
      this.#inText = false;
      at = end + 1;
    }
    this.#skeleton.push(chunk.subarray(copied));
  }

  /** Returns the document, without what matches `trailer` at its end, or undefined. */
  finish(trailer?: RegExp): unknown {
    const skeleton = Buffer.concat(this.#inText ? [...this.#skeleton, ...this.#text] : this.#skeleton).toString();
    this.#skeleton = [];
    if (!this.#isValid || isDeeperThan(skeleton, MAX_LEVELS)) return undefined;
    const value = parseJson(skeleton);
    return value === undefined && trailer ? parseJson(skeleton.replace(trailer, '')) : value;
  }

  #splice(): void {
    tokens += 1;
    const token = `${PREFIX}${tokens}-`;
    this.#splices.set(token, this.#text);
    this.#skeleton.push(Buffer.from(token));
    if (this.#carry.length > 0) this.#isValid = false;
  }

  #keep(piece: Buffer): void {
    this.#text.push(piece);
    this.#textBytes += piece.length;
    const bytes = this.#carry.length === 0 ? piece : Buffer.concat([this.#carry, piece]);
    const end = wholeEnd(bytes);
    this.#carry = bytes.subarray(end);
    const whole = bytes.subarray(0, end);
    if (!isTextOfJson(whole)) this.#isValid = false;
  }
}

/** Returns whether bytes may stand between the quotes of a text. */
function isTextOfJson(bytes: Buffer): boolean {
  if (!isUtf8(bytes)) return false;
  if (bytes.includes(BACKSLASH)) return parseJson(`"${bytes.toString()}"`) !== undefined;
  // Control characters are not taken as they are (RFC 8259, 7).
  for (let at = 0; at < bytes.length; at += 1) if ((bytes[at] ?? 0) < 0x20) return false;
  return true;
}

/** Returns the end of the last whole character or escape. */
function wholeEnd(bytes: Buffer): number {
  const { length } = bytes;
  for (let back = 1; back <= Math.min(3, length); back += 1) {
    const byte = bytes[length - back] ?? 0;
    if (byte < 0x80) break;
    if (byte < 0xc0) continue;
    const needed = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    if (needed > back) return length - back;
    break;
  }
  const slash = bytes.lastIndexOf(BACKSLASH);
  if (slash === -1 || slash < length - 6) return length;
  let run = 1;
  while (bytes[slash - run] === BACKSLASH) run += 1;
  const needed = bytes[slash + 1] === 0x75 ? 6 : 2;
  return run % 2 === 1 && slash + needed > length ? slash : length;
}
