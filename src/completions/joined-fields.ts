/**
 * Joins what the pieces of an answer hold beside the fields that we know: lists grow, and of anything else the last one
 * counts. Pure.
 */

type Fields = Readonly<Record<string, unknown>>;

/** Collects fields by their own names. */
export class JoinedFields {
  readonly #passedOver: ReadonlySet<string>;
  readonly #joined = new Map<string, unknown>();

  constructor(passedOver: readonly string[] = []) {
    this.#passedOver = new Set(passedOver);
  }

  /** Takes one piece, and returns what it holds, or undefined where that is nothing: null and empty lists and texts are nothing. */
  add(piece: Fields): Fields | undefined {
    const found = Object.entries(piece).filter(([name, value]) => !this.#passedOver.has(name) && !isNothing(value));
    for (const [name, value] of found) {
      const before = this.#joined.get(name);
      if (Array.isArray(before) && Array.isArray(value)) for (const item of value) before.push(item);
      else this.#joined.set(name, Array.isArray(value) ? [...value] : value);
    }
    return found.length === 0 ? undefined : Object.fromEntries(found);
  }

  /** Returns all of it, or undefined where there was nothing. */
  finish(): Fields | undefined {
    return this.#joined.size === 0 ? undefined : Object.fromEntries(this.#joined);
  }
}

function isNothing(value: unknown): boolean {
  return value === null || value === undefined || value === '' || (Array.isArray(value) && value.length === 0);
}
