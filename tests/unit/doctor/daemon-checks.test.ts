import { expect, it } from 'vitest';
import { checkDaemon } from '../../../src/doctor/daemon-checks.ts';
import type { Status } from '../../../src/protocol/status.ts';

const STATUS: Status = {
  version: '0.0.1',
  protocol: 1,
  pid: 1,
  node: '24.0.0',
  startedAt: 0,
  uptimeMs: 0,
  socket: '/run/s',
  connections: 0,
  requestsInFlight: 0,
  paths: { secrets: '/s', config: '/c', state: '/st', log: null },
  defaultProvider: 'openrouter',
  providers: [],
  pools: [],
  secrets: { count: 0 },
  accounts: [],
  audit: { seq: 0, hash: '' },
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
  },
  warnings: [],
};

it.each([
  ['end it with Ctrl-C and start it again', 'restart it: end it with Ctrl-C and start it again'],
  [undefined, 'restart it'],
])('a daemon of another version that says of a restart "%s" is restarted so', async (restart, hint) => {
  const status = restart === undefined ? STATUS : { ...STATUS, restart };
  const { findings } = await checkDaemon(() => Promise.resolve(status), null);
  expect(findings).toContainEqual(expect.objectContaining({ verdict: 'warning', hint }));
});
