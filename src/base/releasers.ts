/**
 * Whoever opens a thing registers its closer at once; closers run last-in first-out, each exactly once, and one that
 * fails does not keep the others from running.
 */

/** Closes one thing. */
export type Release = () => Promise<void> | void;

/** Collects closers and runs them in reverse order. */
export class Releasers {
  readonly #closers: { readonly name: string; readonly release: Release }[] = [];
  #released: Promise<void> | undefined;

  /** Registers a closer; the name is for the error when it fails. Throws when everything was released already. */
  add(name: string, release: Release): void {
    if (this.#released) throw new Error(`cannot register the closer of ${name}: everything is released already`);
    this.#closers.push({ name, release });
  }

  /** Runs all closers, last registered first. A second call returns the first one's promise. Rejects with every failure, after the last closer ran. */
  release(): Promise<void> {
    this.#released ??= this.#releaseAll();
    return this.#released;
  }

  async #releaseAll(): Promise<void> {
    const failures: Error[] = [];
    for (const { name, release } of this.#closers.toReversed()) {
      try {
        await release();
      } catch (error) {
        failures.push(new Error(`closing ${name} failed: ${String(error)}`, { cause: error }));
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, failures.map((failure) => failure.message).join('; '));
  }
}
