/**
 * Passes events of the daemon to its subscribers. Events carry names and times, never secrets.
 */

/** One event: its name and what belongs to it. */
export interface DaemonEvent {
  readonly event: string;
  readonly data: unknown;
}

/** Events from the parts that publish them to the connections that subscribed. */
export class EventHub {
  readonly #listeners = new Set<(event: DaemonEvent) => void>();

  /** Calls every listener. One that throws is removed, and the others are called all the same. */
  publish(event: string, data: unknown): void {
    for (const listener of this.#listeners) {
      try {
        listener({ event, data });
      } catch {
        this.#listeners.delete(listener);
      }
    }
  }

  /** Calls back with every event; the returned function ends that. */
  subscribe(listener: (event: DaemonEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
