/**
 * Lets replies that are ready in the same turn of the event loop share the write of what was
 * recorded of them.
 *
 * A turn reads all sockets that have something before it ends, so that under load many replies are
 * ready in one. A reply that is alone does not wait for the end of its turn.
 */

export class GroupCommit {
  readonly #write: () => void;
  readonly #isAlone: () => boolean;
  #group: Promise<void> | undefined;

  /** `isAlone` returns whether there is at most one request to reply to. */
  constructor(write: () => void, isAlone: () => boolean) {
    this.#write = write;
    this.#isAlone = isAlone;
  }

  /** Resolves once everything that was recorded before is on disk, in the order of the calls. */
  wait(): Promise<void> {
    return (this.#group ??= this.#commitTogether());
  }

  /** Puts everything that was recorded on disk at once. */
  commit(): void {
    this.#write();
  }

  async #commitTogether(): Promise<void> {
    await new Promise<void>((resolve) => {
      if (this.#isAlone()) process.nextTick(resolve);
      else setImmediate(resolve);
    });
    this.#group = undefined;
    this.#write();
  }
}
