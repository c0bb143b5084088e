/**
 * A status of a daemon at ease; a test changes what it is about.
 */

import type { Status } from '../../src/protocol/status.ts';

/** What differs from the usual status. */
type StatusChanges = Partial<Omit<Status, 'usage'>> & { readonly usage?: Partial<Status['usage']> };

/** Returns a status: no provider, account or warning but those of the changes. */
export function makeStatus({ usage, ...changes }: StatusChanges = {}): Status {
  return {
    version: '1.2.3',
    protocol: 1,
    pid: 4711,
    node: '24.21.0',
    startedAt: 0,
    uptimeMs: 0,
    socket: '/run/user/1000/aipassd/aipassd.sock',
    connections: 1,
    requestsInFlight: 1,
    paths: { secrets: '/s/aipass', config: '/c/config.jsonc', state: '/state', log: null },
    defaultProvider: 'openrouter',
    providers: [],
    pools: [],
    secrets: { count: 0 },
    accounts: [],
    audit: { seq: 1, hash: '' },
    lastRun: null,
    usage: {
      database: 'ready',
      kind: 'sqlite',
      queued: false,
      queuedBytes: 0,
      lagMs: 0,
      waitingInMemory: 0,
      lost: 0,
      damaged: 0,
      ...usage,
    },
    warnings: [],
    ...changes,
  };
}
