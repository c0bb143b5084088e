/**
 * How the daemon is, at a glance: the result of `status.get`.
 */

import type { Warning } from '../base/warning.ts';
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
  readonly secrets: { readonly count: number };
  readonly usage: UsageStatusReport;
  /** Lists what is wrong, worst first. */
  readonly warnings: readonly Warning[];
}
