/**
 * What the endpoints have open right now, for `status`. Each endpoint registers itself when it is
 * opened.
 */

/** Connections and unanswered requests. */
export interface Load {
  readonly connections: number;
  readonly requestsInFlight: number;
}

/** Load of all endpoints. */
export class LoadMeter {
  readonly #sources = new Set<() => Load>();

  /** Adds an endpoint; the returned function removes it. */
  register(source: () => Load): () => void {
    this.#sources.add(source);
    return () => {
      this.#sources.delete(source);
    };
  }

  /** Returns the sums over all endpoints. */
  total(): Load {
    let [connections, requestsInFlight] = [0, 0];
    for (const source of this.#sources) {
      const load = source();
      connections += load.connections;
      requestsInFlight += load.requestsInFlight;
    }
    return { connections, requestsInFlight };
  }
}
