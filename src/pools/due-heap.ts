/**
 * What is due when: a binary heap, so that the next due thing among thousands is found without looking at them all.
 */

interface Due<T> {
  readonly at: number;
  readonly value: T;
}

/** Holds values by the time at which they are due. */
export class DueHeap<T> {
  #entries: Due<T>[] = [];

  get size(): number {
    return this.#entries.length;
  }

  /** Returns when the first value is due, or undefined where there is none. */
  get nextAt(): number | undefined {
    return this.#entries[0]?.at;
  }

  /** Adds a value. O(log n). */
  push(at: number, value: T): void {
    const entries = this.#entries;
    const entry = { at, value };
    let index = entries.push(entry) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = entries[parent];
      if (!above || above.at <= at) break;
      entries[index] = above;
      index = parent;
    }
    entries[index] = entry;
  }

  /** Removes and returns the first value if it is due. O(log n). */
  popDue(now: number): T | undefined {
    const entries = this.#entries;
    const first = entries[0];
    if (!first || first.at > now) return undefined;
    const last = entries.pop();
    if (last && entries.length > 0) this.#sink(last);
    return first.value;
  }

  /** Moves every time by the same amount, which keeps their order. O(n). */
  shift(ms: number): void {
    this.#entries = this.#entries.map(({ at, value }) => ({ at: at + ms, value }));
  }

  #sink(entry: Due<T>): void {
    const entries = this.#entries;
    let index = 0;
    for (;;) {
      const left = entries[2 * index + 1];
      const right = entries[2 * index + 2];
      if (!left) break;
      const [child, at] = right && right.at < left.at ? [right, 2 * index + 2] : [left, 2 * index + 1];
      if (child.at >= entry.at) break;
      entries[index] = child;
      index = at;
    }
    entries[index] = entry;
  }
}
