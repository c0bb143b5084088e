/**
 * What is wrong on this machine right now: a problem and its fix, and the sources that `status`
 * asks for them. Never thrown.
 */

/** A problem and what to do about it. Holds no secret. */
export interface Warning {
  /** Path, provider or variable that is concerned. */
  readonly subject: string;
  readonly problem: string;
  /** An action, usually a command to run. */
  readonly hint: string;
  /**
   * Organization whose people alone may read it; those who see the daemon's own keys without it.
   */
  readonly organization?: string;
}

/**
 * Sources of warnings: the parts that can find them. Asked in the order in which they were
 * registered.
 */
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
