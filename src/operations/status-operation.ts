/**
 * `status.get`: the state of the daemon.
 */

import { z } from 'zod';
import type { Clock } from '../base/clock.ts';
import type { Paths } from '../base/paths.ts';
import type { Warnings } from '../base/runtime.ts';
import type { Gate } from '../callers/gate.ts';
import type { NetworkReport } from '../base/network.ts';
import type { Vault } from '../credentials/vault.ts';
import type { Pools } from '../pools/pools.ts';
import type { Providers } from '../providers/registry.ts';
import type { Accounts } from '../refreshers/accounts.ts';
import { PROTOCOL_VERSION } from '../protocol/messages.ts';
import { describeProviders } from './key-lookup.ts';
import type { Usage } from '../usage/usage.ts';
import type { OperationGroup } from './operation.ts';

export interface StatusDeps {
  readonly version: string;
  readonly paths: Paths;
  readonly logFile: string | null;
  readonly defaultProvider: string;
  readonly clock: Clock;
  /** Start time of the daemon, in epoch milliseconds. */
  readonly startedAt: number;
  readonly vault: Vault;
  readonly providers: Providers;
  readonly pools: Pools;
  readonly accounts: Pick<Accounts, 'statuses'>;
  readonly gate: Pick<Gate, 'load'>;
  readonly network: NetworkReport;
  readonly restart: string;
  /** End of the previous run as a text, or null if unknown. */
  readonly lastRun: string | null;
  /** Returns number and hash of the last audit entry. */
  readonly auditEnd: () => { readonly seq: number; readonly hash: string };
  readonly usage: Usage;
  readonly warnings: Pick<Warnings, 'list'>;
}

export function statusOperation(deps: StatusDeps): OperationGroup<'status'> {
  const { paths, vault, providers, pools, clock } = deps;
  return {
    'status.get': {
      right: 'see',
      schema: z.strictObject({}),
      async handle(_params, { currentRights }) {
        const accounts = await deps.accounts.statuses();
        const described = describeProviders(vault, providers);
        return {
          version: deps.version,
          protocol: PROTOCOL_VERSION,
          pid: process.pid,
          node: process.versions.node,
          startedAt: deps.startedAt,
          uptimeMs: Math.max(0, clock.now() - deps.startedAt),
          socket: paths.socket,
          ...deps.gate.load,
          paths: { secrets: paths.secrets, config: paths.config, state: paths.state, log: deps.logFile },
          defaultProvider: deps.defaultProvider,
          providers: described.filter((one) => one.keys.length > 0 || (!one.needsKey && one.source !== 'built-in')),
          pools: described.filter((one) => one.keys.length > 0).map((one) => pools.describe(one.name)),
          secrets: { count: vault.secretNames().length },
          accounts,
          audit: deps.auditEnd(),
          restart: deps.restart,
          lastRun: deps.lastRun,
          usage: deps.usage.status(),
          network: deps.network,
          warnings: deps.warnings
            .list()
            .filter(({ organization }) => organization === undefined || currentRights().organizations.has(organization))
            .map(({ subject, problem, hint }) => ({ subject, problem, hint })),
        };
      },
    },
  };
}
