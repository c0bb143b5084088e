/**
 * Lets replies that are ready in the same turn of the event loop share the write of what was
 * recorded of them.
 *
 * A turn reads all sockets that have something before it ends, so that under load many replies are
 * ready in one. A single reply waits for microseconds.
 */

/** The group commit of one daemon. */
export class GroupCommit {
  readonly #write: () => void;
  #group: Promise<void> | undefined;

  /** `write` puts everything that was recorded on disk. */
  constructor(write: () => void) {
    this.#write = write;
  }

  /**
   * Resolves once everything that was recorded before is on disk; those that wait go on in the
   * order of their calls. Rejects as the write fails.
   */
  wait(): Promise<void> {
    return (this.#group ??= this.#commitTogether());
  }

  /** Puts everything that was recorded on disk at once. */
  commit(): void {
    this.#write();
  }

  async #commitTogether(): Promise<void> {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    this.#group = undefined;
    this.#write();
  }
}
