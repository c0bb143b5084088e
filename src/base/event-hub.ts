/**
 * Tells whoever listens what happened in the daemon. Events carry names and times, never secrets.
 */

/** Is one thing that happened. */
export interface DaemonEvent {
  readonly event: string;
  readonly data: unknown;
}

/** Passes events from the parts that notice them to the connections that subscribed. */
export class EventHub {
  readonly #listeners = new Set<(event: DaemonEvent) => void>();

  /** Tells every listener; one listener's failure is not another's. */
  publish(event: string, data: unknown): void {
    for (const listener of this.#listeners) {
      try {
        listener({ event, data });
      } catch {
        this.#listeners.delete(listener);
      }
    }
  }

  /** Listens to everything; the returned function takes that back. */
  subscribe(listener: (event: DaemonEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
