/**
 * What every part of the daemon is wired with: one record instead of a bag for each part. Made by
 * openRuntime in daemon.ts; each folder's `open…()` takes it first, then the parts that it needs by
 * name.
 */

import type { Random } from './backoff.ts';
import type { Clock } from './clock.ts';
import type { Config } from './config-schema.ts';
import type { EventHub } from './event-hub.ts';
import type { LoadMeter } from './load.ts';
import type { NetworkReport } from './network.ts';
import type { DaemonLogger } from './logger.ts';
import type { Paths } from './paths.ts';
import type { Redactor } from './redactor.ts';
import type { StateStore } from './state-store.ts';
import type { Warnings } from './warning.ts';

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

/** What every part of the daemon is wired with. */
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
  readonly load: LoadMeter;
}
