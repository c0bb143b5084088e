/**
 * Dependencies of every part of the daemon: one record instead of a bag for each part. Made
 * by openRuntime in daemon.ts; each folder's `open…()` takes it first, then the parts that it needs
 * by name.
 */

import type { Random } from './backoff.ts';
import type { Clock } from './clock.ts';
import type { Config } from './config-schema.ts';
import type { DaemonLogger } from './logger.ts';
import type { NetworkReport } from './network.ts';
import type { Paths } from './paths.ts';
import type { Redactor } from './redactor.ts';
import type { StateStore } from './state-store.ts';
import type { Warning } from './warning.ts';

/** The configuration in use, and its changes. */
export interface ConfigSource {
  /** Configuration in use; another object after each reload. */
  readonly current: Config;
  /**
   * Calls back after each reload that changed something, in the order of registration, with the new
   * configuration and the one before. The returned function ends that.
   */
  onChange(listener: (next: Config, before: Config) => void): () => void;
}

export interface Runtime {
  readonly version: string;
  readonly paths: Paths;
  readonly config: ConfigSource;
  /** The way to the network, set up once at the start. */
  readonly network: NetworkReport;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: DaemonLogger;
  readonly redactor: Redactor;
  readonly events: EventHub;
  readonly state: Pick<StateStore, 'section' | 'bind' | 'changed' | 'flush'>;
  readonly warnings: Warnings;
}

/** Sources of warnings, asked in the order in which they were registered. */
export class Warnings {
  readonly #sources = new Set<() => Iterable<Warning>>();

  /** Adds a source; the returned function removes it. */
  register(source: () => Iterable<Warning>): () => void {
    this.#sources.add(source);
    return () => this.#sources.delete(source);
  }

  list(): Warning[] {
    return [...this.#sources].flatMap((source) => [...source()]);
  }
}

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
