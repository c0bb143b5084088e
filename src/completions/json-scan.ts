/**
 * Finds single members of a JSON document while its bytes go by, without parsing the rest: large
 * answers are neither joined nor parsed. Pure.
 *
 * Members are those of the root object, or of each object of a root list. It checks no more of the
 * syntax than it needs: a parser has the last word where that matters.
 */

import { BytePieces } from '../base/byte-pieces.ts';
import { parseJson } from '../base/json.ts';
import { endOfText } from '../base/spliced-json.ts';

/** The longest member that is kept, in bytes; a longer one is passed over. */
const MAX_MEMBER_BYTES = 256 * 1024;

/** The longest member name that is compared, in bytes. */
const MAX_NAME_BYTES = 128;

const QUOTE = 0x22;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const COMMA = 0x2c;
const COLON = 0x3a;

/** A member that was found; `start` and `end` are its value's place in the document, in bytes. */
export interface FoundMember {
  readonly name: string;
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

export class JsonScanner {
  readonly #names: readonly string[];
  readonly #onMember: (member: FoundMember) => void;
  readonly #nesting: number;
  #offset = 0;
  #depth = 0;
  /** The depth of the objects whose members are examined; 0 before the root began. */
  #target = 0;
  #inText = false;
  readonly #text = { isEscaped: false };
  #isNameNext = false;
  /** Whether the text that is read, or was read last, is a name whose colon is still to come. */
  #isName = false;
  #name: string | undefined;
  readonly #nameBytes = new PiecedText(MAX_NAME_BYTES);
  #member: { readonly name: string; readonly start: number } | undefined;
  readonly #valueBytes = new PiecedText(MAX_MEMBER_BYTES);
  #isWhole = false;
  #rootOpensAt = -1;

  /** @param nesting how many levels below the usual ones the members are. */
  constructor(names: readonly string[], onMember: (member: FoundMember) => void, nesting = 0) {
    this.#names = names;
    this.#onMember = onMember;
    this.#nesting = nesting;
  }

  /** Whether the root was closed. */
  get isWhole(): boolean {
    return this.#isWhole;
  }

  /** The place of the brace that opens the root object, or -1. */
  get rootOpensAt(): number {
    return this.#rootOpensAt;
  }

  push(chunk: Buffer): void {
    const { length } = chunk;
    let at = 0;
    let valueFrom = 0;
    let nameFrom = 0;
    while (at < length) {
      if (this.#inText) {
        const end = endOfText(chunk, at, this.#text);
        if (end === -1) break;
        if (this.#isName) this.#name = this.#nameBytes.end(chunk, nameFrom, end);
        this.#inText = false;
        at = end + 1;
        continue;
      }
      const byte = chunk[at];
      switch (byte) {
        case QUOTE:
          this.#inText = true;
          this.#text.isEscaped = false;
          this.#isName = this.#isNameNext && this.#depth === this.#target;
          if (this.#isName) {
            this.#isNameNext = false;
            nameFrom = at + 1;
          }
          break;
        case OPEN_BRACE:
          this.#depth += 1;
          if (this.#target === 0) {
            this.#target = 1 + this.#nesting;
            this.#rootOpensAt = this.#offset + at;
          }
          if (this.#depth === this.#target) this.#isNameNext = true;
          break;
        case OPEN_BRACKET:
          this.#depth += 1;
          if (this.#target === 0) this.#target = 2 + this.#nesting;
          break;
        case COLON:
          if (this.#isName && this.#depth === this.#target) {
            this.#isName = false;
            const name = readName(this.#name);
            if (name !== undefined && this.#names.includes(name)) {
              this.#member = { name, start: this.#offset + at + 1 };
              // Where a comma is missing, the member before it has no end.
              this.#valueBytes.clear();
              valueFrom = at + 1;
            }
          }
          break;
        case COMMA:
        case CLOSE_BRACE:
        case CLOSE_BRACKET:
          if (this.#depth === this.#target) {
            if (this.#member) this.#finishMember(this.#member, chunk, valueFrom, at);
            this.#isNameNext = byte === COMMA;
          }
          if (byte !== COMMA) {
            this.#depth -= 1;
            if (this.#depth === 0) this.#isWhole = true;
          }
          break;
        default:
          break;
      }
      at += 1;
    }
    if (this.#member) this.#valueBytes.add(chunk, valueFrom);
    if (this.#inText && this.#isName) this.#nameBytes.add(chunk, nameFrom);
    this.#offset += length;
  }

  #finishMember(
    { name, start }: { readonly name: string; readonly start: number },
    chunk: Buffer,
    from: number,
    to: number,
  ): void {
    this.#member = undefined;
    const text = this.#valueBytes.end(chunk, from, to);
    if (text !== undefined) this.#onMember({ name, text, start, end: this.#offset + to });
  }
}

/** Text of bounded length whose bytes may come in pieces; most come in one. */
class PiecedText {
  readonly #maxBytes: number;
  /** Made where a text does not come in one piece. */
  #pieces: BytePieces | undefined;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Adds the bytes from a place on. */
  add(chunk: Buffer, from: number): void {
    this.#bytes += chunk.length - from;
    if (this.#bytes <= this.#maxBytes) (this.#pieces ??= new BytePieces()).add(chunk.subarray(from));
  }

  clear(): void {
    if (this.#bytes === 0) return;
    this.#pieces = undefined;
    this.#bytes = 0;
  }

  /** Takes the last bytes, and returns the text; undefined for one that is too long. */
  end(chunk: Buffer, from: number, to: number): string | undefined {
    const isShort = this.#bytes + to - from <= this.#maxBytes;
    if (this.#bytes === 0) return isShort ? chunk.toString('utf8', from, to) : undefined;
    const pieces = this.#pieces;
    this.clear();
    return isShort ? pieces?.take(chunk.subarray(from, to)).toString() : undefined;
  }
}

/** Reads a name, which may be written with escapes: what a parser takes for "model" is one. */
function readName(text: string | undefined): string | undefined {
  if (text?.includes('\\') !== true) return text;
  const name: unknown = parseJson(`"${text}"`);
  return typeof name === 'string' ? name : undefined;
}
