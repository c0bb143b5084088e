/**
 * The state of the daemon: the result of `status.get`.
 */

import type { NetworkReport } from '../base/network.ts';
import type { Warning } from '../base/warning.ts';
import type { PoolInfo } from './pool.ts';
import type { AccountStatus } from './oauth.ts';
import type { ProviderInfo } from './provider.ts';
import type { UsageStatusReport } from './usage.ts';

/** State of the daemon. Times are epoch milliseconds. Holds no secret. */
export interface Status {
  readonly version: string;
  readonly protocol: number;
  readonly pid: number;
  readonly node: string;
  readonly startedAt: number;
  readonly uptimeMs: number;
  readonly socket: string;
  readonly connections: number;
  readonly requestsInFlight: number;
  readonly paths: {
    readonly secrets: string;
    readonly config: string;
    readonly state: string;
    readonly log: string | null;
  };
  readonly defaultProvider: string;
  /** Providers that have a key, and configured ones that need none. */
  readonly providers: readonly ProviderInfo[];
  /** Describes the pool of each provider that has a key: states, cooldowns, windows, quotas. */
  readonly pools: readonly PoolInfo[];
  readonly secrets: { readonly count: number };
  /** The OAuth accounts. */
  readonly accounts: readonly AccountStatus[];
  /** Number and SHA-256 of the last audit entry: proves that no later line was cut off. */
  readonly audit: { readonly seq: number; readonly hash: string };
  /** Way of restarting this daemon, a command if there is one; absent for an older daemon. */
  readonly restart?: string;
  /** End of the previous run in words, or null if unknown. */
  readonly lastRun: string | null;
  readonly usage: UsageStatusReport;
  /** The way to the network: proxies and certificate authorities; absent for an older daemon. */
  readonly network?: NetworkReport;
  /** Problems, worst first. */
  readonly warnings: readonly Warning[];
}
