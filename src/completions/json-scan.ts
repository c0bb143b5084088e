/**
 * Finds single members of a JSON document while its bytes go by, without parsing the rest: large
 * answers are neither joined nor parsed. Pure.
 *
 * Members are those of the root object, or of each object of a root list. It checks no more of the
 * syntax than it needs: a parser has the last word where that matters.
 */

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

/** Scans one document. */
export class JsonScanner {
  readonly #names: ReadonlySet<string>;
  readonly #onMember: (member: FoundMember) => void;
  readonly #nesting: number;
  #offset = 0;
  #depth = 0;
  /** The depth of the objects whose members are looked at; 0 before the root began. */
  #target = 0;
  #inText = false;
  readonly #text = { isEscaped: false };
  #isNameNext = false;
  #isName = false;
  #name: Buffer[] = [];
  #nameBytes = 0;
  #member: { readonly name: string; readonly start: number } | undefined;
  #value: Buffer[] = [];
  #valueBytes = 0;
  #isWhole = false;
  #rootOpensAt = -1;

  /** @param nesting how many levels below the usual ones the members are. */
  constructor(names: readonly string[], onMember: (member: FoundMember) => void, nesting = 0) {
    this.#names = new Set(names);
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

  /** Takes the next bytes. */
  push(chunk: Buffer): void {
    let at = 0;
    let valueFrom = this.#member ? 0 : -1;
    let nameFrom = this.#isName ? 0 : -1;
    while (at < chunk.length) {
      if (this.#inText) {
        const end = endOfText(chunk, at, this.#text);
        if (end === -1) break;
        if (this.#isName) {
          this.#keepName(chunk.subarray(Math.max(nameFrom, 0), end));
          nameFrom = -1;
        }
        this.#inText = false;
        at = end + 1;
        continue;
      }
      const byte = chunk[at];
      switch (byte) {
        case QUOTE:
          this.#inText = true;
          this.#text.isEscaped = false;
          if (this.#isNameNext && this.#depth === this.#target) {
            this.#isName = true;
            this.#isNameNext = false;
            this.#name = [];
            this.#nameBytes = 0;
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
            const name = this.#nameBytes > MAX_NAME_BYTES ? '' : readName(Buffer.concat(this.#name).toString());
            if (this.#names.has(name)) {
              this.#member = { name, start: this.#offset + at + 1 };
              this.#value = [];
              this.#valueBytes = 0;
              valueFrom = at + 1;
            }
          }
          break;
        case COMMA:
        case CLOSE_BRACE:
        case CLOSE_BRACKET:
          if (this.#depth === this.#target) {
            if (this.#member) {
              this.#keepValue(chunk.subarray(Math.max(valueFrom, 0), at));
              this.#finishMember(this.#offset + at);
              valueFrom = -1;
            }
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
    if (this.#member && valueFrom !== -1) this.#keepValue(chunk.subarray(valueFrom));
    if (this.#inText && this.#isName && nameFrom !== -1) this.#keepName(chunk.subarray(nameFrom));
    this.#offset += chunk.length;
  }

  #keepName(piece: Buffer): void {
    this.#nameBytes += piece.length;
    if (this.#nameBytes <= MAX_NAME_BYTES) this.#name.push(piece);
  }

  #keepValue(piece: Buffer): void {
    this.#valueBytes += piece.length;
    if (this.#valueBytes <= MAX_MEMBER_BYTES) this.#value.push(piece);
  }

  #finishMember(end: number): void {
    const member = this.#member;
    this.#member = undefined;
    if (!member || this.#valueBytes > MAX_MEMBER_BYTES) return;
    const text = Buffer.concat(this.#value).toString();
    this.#value = [];
    this.#onMember({ name: member.name, text, start: member.start, end });
  }
}

/** Reads a name, which may be written with escapes: what a parser takes for "model" is one. */
function readName(text: string): string {
  if (!text.includes('\\')) return text;
  const name: unknown = parseJson(`"${text}"`);
  return typeof name === 'string' ? name : '';
}
