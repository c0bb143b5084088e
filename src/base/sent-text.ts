/**
 * What somebody sent, as one text, searched for many pieces: a mask on a piece of it would confirm
 * a guess. Pure.
 */

import { readEscapes, readPercents, readReferences } from './spellings.ts';

/** Number of pieces that are searched for one by one: each search reads the whole text. */
const MAX_SEARCHES = 64;

/** Length of the overlapping parts that stand for a piece after that, in characters. */
const PART = 12;

/** Bounds of the table of parts, in bits, as powers of two. */
const MIN_BITS = 16;
const MAX_BITS = 28;

/** Spellings that a provider reads through, so that it may quote what they stand for. */
const SPELLINGS: readonly { readonly sign: string; readonly read: (text: string) => string }[] = [
  { sign: '\\', read: readEscapes },
  { sign: '%', read: readPercents },
  { sign: '&#', read: readReferences },
];

export class SentText {
  readonly #text: string;
  readonly #known = new Map<string, boolean>();
  #searches = 0;
  #parts: PartTable | undefined;

  constructor(text: string) {
    const forms = [text];
    for (const { sign, read } of SPELLINGS) {
      if (text.includes(sign)) forms.push(read(text));
    }
    this.#text = forms.join('\n');
  }

  /**
   * Returns whether a piece stands in the text. After many different pieces, it is whether all of
   * its parts do: whoever sent those knows the piece.
   */
  holds(piece: string): boolean {
    let known = this.#known.get(piece);
    if (known === undefined) {
      known = this.#search(piece);
      this.#known.set(piece, known);
    }
    return known;
  }

  #search(piece: string): boolean {
    if (piece.length < PART || this.#searches < MAX_SEARCHES) {
      this.#searches += 1;
      return this.#text.includes(piece);
    }
    this.#parts ??= new PartTable(this.#text);
    return this.#parts.holdsAll(piece);
  }
}

/** The parts of a text, as bits of a table; two bits stand for each (a Bloom filter). */
class PartTable {
  readonly #words: Uint32Array;
  readonly #shift: number;

  constructor(text: string) {
    const bits = Math.min(Math.max(Math.ceil(Math.log2(text.length * 16)), MIN_BITS), MAX_BITS);
    this.#words = new Uint32Array(2 ** (bits - 5));
    this.#shift = 32 - bits;
    eachPart(text, (hash) => {
      this.#set(hash);
      this.#set(mixed(hash));
      return true;
    });
  }

  holdsAll(piece: string): boolean {
    return eachPart(piece, (hash) => this.#has(hash) && this.#has(mixed(hash)));
  }

  #set(hash: number): void {
    const at = spread(hash) >>> this.#shift;
    const word = at >>> 5;
    this.#words[word] = (this.#words[word] ?? 0) | (1 << (at & 31));
  }

  #has(hash: number): boolean {
    const at = spread(hash) >>> this.#shift;
    return ((this.#words[at >>> 5] ?? 0) & (1 << (at & 31))) !== 0;
  }
}

const BASE = 0x01000193;

/** BASE to the power of PART, modulo 2 ** 32: the weight of the character that leaves a part. */
const LEAVING = Array.from({ length: PART }).reduce<number>((power) => Math.imul(power, BASE), 1);

/** Calls back with a hash of each part, as long as that returns true; returns whether all did. */
function eachPart(text: string, take: (hash: number) => boolean): boolean {
  let hash = 0;
  for (let at = 0; at < text.length; at += 1) {
    hash = (Math.imul(hash, BASE) + text.charCodeAt(at)) | 0;
    if (at >= PART) hash = (hash - Math.imul(LEAVING, text.charCodeAt(at - PART))) | 0;
    if (at >= PART - 1 && !take(hash)) return false;
  }
  return true;
}

function mixed(hash: number): number {
  return Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);
}

function spread(hash: number): number {
  return Math.imul(hash, 0x9e3779b1) >>> 0;
}
