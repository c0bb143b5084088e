/**
 * A map of bounded size that forgets what was used longest ago. Runs on Node 20.16 for the client.
 */

export class BoundedMap<Key, Value extends string | number | boolean | object> {
  readonly #entries = new Map<Key, Value>();
  readonly #maxSize: number;
  readonly #onEvict: (value: Value, key: Key) => void;
  /** Key that was used last, whose entry is at the end already. */
  #newest: Key | undefined;

  /** `onEvict` is called with each entry that is pushed out. */
  constructor(maxSize: number, onEvict: (value: Value, key: Key) => void = () => {}) {
    this.#maxSize = maxSize;
    this.#onEvict = onEvict;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Returns the value of a key, which counts as a use of it. */
  get(key: Key): Value | undefined {
    const value = this.#entries.get(key);
    if (value === undefined || key === this.#newest) return value;
    this.#entries.delete(key);
    this.#entries.set(key, value);
    this.#newest = key;
    return value;
  }

  /** Returns whether a key has a value, which does not count as a use. */
  has(key: Key): boolean {
    return this.#entries.has(key);
  }

  /** Sets the value of a key, and evicts the entry that was used longest ago at the limit. */
  set(key: Key, value: Value): void {
    if (key !== this.#newest) this.#entries.delete(key);
    this.#entries.set(key, value);
    this.#newest = key;
    if (this.#entries.size <= this.#maxSize) return;
    for (const [oldest, evicted] of this.#entries) {
      this.#entries.delete(oldest);
      this.#onEvict(evicted, oldest);
      return;
    }
  }

  /** Removes a key without calling onEvict; returns whether it was there. */
  delete(key: Key): boolean {
    return this.#entries.delete(key);
  }

  /** Removes all entries without calling onEvict. */
  clear(): void {
    // V8 makes a new table even of an empty map, and some are cleared with every request.
    if (this.#entries.size > 0) this.#entries.clear();
  }

  /** Iterates over the entries, those used longest ago first. */
  [Symbol.iterator](): IterableIterator<[Key, Value]> {
    return this.#entries[Symbol.iterator]();
  }
}
