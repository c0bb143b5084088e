/**
 * How the daemon is, at a glance: the result of `status.get`.
 */

import type { Warning } from '../base/warning.ts';
import type { PoolInfo } from './pool.ts';
import type { AccountStatus } from './oauth.ts';
import type { ProviderInfo } from './provider.ts';
import type { UsageStatusReport } from './usage.ts';

/** Is the daemon's own account of itself. Times are epoch milliseconds. Holds no secret. */
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
  /** Lists the providers that have a key, and those that need none and are configured. */
  readonly providers: readonly ProviderInfo[];
  /** Describes the pool of each provider that has a key: states, rests, windows, quotas. */
  readonly pools: readonly PoolInfo[];
  readonly secrets: { readonly count: number };
  /** Lists the OAuth accounts. */
  readonly accounts: readonly AccountStatus[];
  /** Is the last line of the audit, by number and SHA-256: lines missing at the end of the file show against it. */
  readonly audit: { readonly seq: number; readonly hash: string };
  /** Is what restarts this daemon, a command where there is one; absent where the daemon is older than the field. */
  readonly restart?: string;
  /** Says how the run before this one ended, or null where nothing is known of one. */
  readonly lastRun: string | null;
  readonly usage: UsageStatusReport;
  /** Lists what is wrong, worst first. */
  readonly warnings: readonly Warning[];
}
