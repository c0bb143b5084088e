/**
 * What OAuth accounts cost: a token that is fresh beside a key, and a look at a thousand accounts
 * that are not due.
 */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../src/base/clock.ts';
import { Accounts } from '../src/refreshers/accounts.ts';
import { WorkerProcesses } from '../src/refreshers/worker-process.ts';
import { AIPASSD, Asker, type Dialect } from './asker.ts';
import { median, micros, millis, printFigures, type Figure } from './numbers.ts';
import { makeHome, startDaemon } from './programs.ts';

const ROUNDS = 15;
const ROUND_TRIPS = 3000;
const ACCOUNTS = 1000;
const TICKS = 200;

const TOKEN: Dialect = {
  ...AIPASSD,
  request: (id) => `${JSON.stringify({ type: 'request', data: { id, op: 'token.get', params: { name: 'bench' } } })}\f`,
};

/** Measures and prints. */
export async function benchTokens(): Promise<void> {
  printFigures('OAuth tokens', [await tokenBesideKey(), await quietTick()]);
}

function writeAccount(secrets: string, name: string): void {
  mkdirSync(join(secrets, 'oauth'), { recursive: true, mode: 0o700 });
  const now = Math.floor(Date.now() / 1000);
  const account = {
    token_endpoint: 'https://127.0.0.1:9/token',
    client_id: 'bench',
    refresh_token: `bench-refresh-token-of-${name}`,
    access_token: 'bench-access-token-0123456789abcdef0123456789abcdef0123456789abcdef0123456789',
    scopes: ['read'],
    obtained_at: now,
    expires_at: now + 36_000,
  };
  writeFileSync(join(secrets, 'oauth', `${name}.json`), JSON.stringify(account), { mode: 0o600 });
}

async function tokenBesideKey(): Promise<Figure> {
  const home = makeHome();
  writeAccount(join(home.env['AIPASSD_SECRETS_DIR'] ?? '', 'aipass'), 'bench');
  const daemon = await startDaemon(home);
  const askers = [await Asker.open(home.socket, AIPASSD), await Asker.open(home.socket, TOKEN)];
  const samples: number[][] = [[], []];
  try {
    for (let round = 0; round <= ROUNDS; round += 1) {
      for (const [index, asker] of askers.entries()) {
        const trips = await asker.roundTrips(ROUND_TRIPS);
        if (round > 0) samples[index]?.push(median(trips));
      }
    }
  } finally {
    for (const asker of askers) asker.close();
    await daemon.stop();
    home.remove();
  }
  const [key = 0, token = 0] = samples.map(median);
  const ratio = token / key;
  return {
    what: '`token.get`, p50, beside `key.get`',
    ours: micros(token),
    reference: micros(key),
    result: `${ratio.toFixed(2)} ×`,
    target: '≤ 1.1 ×',
    isMet: ratio <= 1.1,
  };
}

/** Measures the time that the main thread is busy, not the time that passes. */
async function quietTick(): Promise<Figure> {
  const folder = mkdtempSync(join(tmpdir(), 'aipb-'));
  try {
    for (let index = 0; index < ACCOUNTS; index += 1) writeAccount(folder, `account-${index}`);
    const accounts = new Accounts({
      secrets: folder,
      config: {},
      clock: systemClock,
      random: Math.random,
      worker: new WorkerProcesses(),
      onOutcome: () => {},
      onTokens: () => {},
    });
    await accounts.scan();
    const samples: number[] = [];
    for (let tick = 0; tick < TICKS; tick += 1) {
      const before = performance.eventLoopUtilization();
      await accounts.tick();
      samples.push(performance.eventLoopUtilization(before).active);
    }
    accounts.stop();
    const busy = median(samples);
    return {
      what: `a tick over ${ACCOUNTS} accounts that are not due, main thread`,
      ours: millis(busy),
      reference: '-',
      result: millis(busy),
      target: '≤ 5 ms',
      isMet: busy <= 5,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
