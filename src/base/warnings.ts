/**
 * What is wrong on this machine right now, collected from the parts that can find it out. Listed by `status`.
 */

import type { Warning } from './warning.ts';

/** Sources of warnings, asked in the order in which they were registered. */
export class Warnings {
  readonly #sources = new Set<() => Iterable<Warning>>();

  /** Adds a source; the returned function removes it. */
  register(source: () => Iterable<Warning>): () => void {
    this.#sources.add(source);
    return () => {
      this.#sources.delete(source);
    };
  }

  /** Asks every source. */
  list(): Warning[] {
    return [...this.#sources].flatMap((source) => [...source()]);
  }
}
