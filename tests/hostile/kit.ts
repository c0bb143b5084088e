/**
 * Runs attacks on a socket, one after the other, while a good client measures what it notices, and
 * judges.
 *
 * Each attack runs against a bare server, too (bare-server.ts), in the same minute. Those over HTTP
 * run against bare node:http. On a busy machine a time says nothing by itself. An attack is passed
 * where the good client's p99 stays within 10 ms, thrice its quiet p99, or twice that beside the
 * bare server. Every one of its requests must be answered. The daemon's memory must be back within
 * 20 % inside a minute.
 */

import { fork, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ATTACKS, type Attack, type Target } from './attacks.ts';
import type { Measured } from './good-client.ts';
import { pause } from './wire.ts';

/** How an attack went. */
export interface AttackReport {
  readonly name: string;
  /** What the daemon did to the attacker. */
  readonly effect: string;
  readonly good: Measured;
  readonly p99LimitMs: number;
  /** What the good client of the bare server saw during the same attack. */
  readonly bare: Measured;
  /**
   * Resident memory in MB: before, the most right after, and when it was looked at last; null where
   * the pid is unknown.
   */
  readonly memory: { readonly before: number; readonly after: number; readonly settled: number } | null;
  readonly problems: readonly string[];
}

/** How the kit runs. */
export interface KitOptions extends Target {
  /** Runs only the attacks whose name contains this. */
  readonly only?: string;
  /** How long memory may take to come back, in milliseconds. */
  readonly settleMs?: number;
  /**
   * How long the good client is measured before each attack, in milliseconds: its p99 with no
   * attack needs many requests.
   */
  readonly quietMs?: number;
  readonly onReport?: (report: AttackReport) => void;
}

const P99_LIMIT_MS = 10;
const QUIET_FACTOR = 3;
const BARE_FACTOR = 2;
const MEMORY_FACTOR = 1.2;
const QUIET_MS = 3000;
const SETTLE_MS = 60_000;

/** Runs the attacks and returns how each went. */
export async function runKit(options: KitOptions): Promise<AttackReport[]> {
  const quietMs = options.quietMs ?? QUIET_MS;
  const bare = await startBareServer();
  const good = startGoodClient(options.socket, options);
  const goodOfBare = startGoodClient(bare.socket, options);
  try {
    const reports: AttackReport[] = [];
    await pause(quietMs / 2);
    // What a fresh daemon needs for its first requests is not the attacks' doing.
    await measure(good);
    await measure(goodOfBare);
    goodOfBare.send('rest');
    for (const attack of ATTACKS.filter((one) => one.name.includes(options.only ?? ''))) {
      await pause(quietMs);
      const quiet = await measure(good);
      const before = residentMb(quiet.pid);
      const effect = await attack.run(options);
      const during = await measure(good);
      const after = residentMb(quiet.pid);
      // A busy client keeps V8 from tidying up: what stays is asked of a daemon at rest.
      good.send('rest');
      const settled = await settle(quiet.pid, before, options.settleMs ?? SETTLE_MS);
      const { gateway, ...bareTarget } = { ...options, socket: bare.socket };
      const overHttp = gateway === undefined ? {} : { gateway: bare.gateway };
      const compared = await attackBare(attack, { ...bareTarget, ...overHttp }, goodOfBare);
      good.send('work');
      const p99LimitMs = Math.max(P99_LIMIT_MS, QUIET_FACTOR * quiet.p99, BARE_FACTOR * compared.p99);
      const memory = before === null || after === null || settled === null ? null : { before, after, settled };
      const report = {
        name: attack.name,
        effect,
        good: during,
        p99LimitMs,
        bare: compared,
        memory,
        problems: judge(during, p99LimitMs, memory),
      };
      reports.push(report);
      options.onReport?.(report);
    }
    return reports;
  } finally {
    good.kill('SIGKILL');
    goodOfBare.kill('SIGKILL');
    bare.stop();
  }
}

function startGoodClient(socket: string, { op, params }: Target): ChildProcess {
  return fork(fileURLToPath(new URL('good-client.ts', import.meta.url)), [socket, op, JSON.stringify(params)]);
}

/**
 * Runs an attack on the bare server while a good client of its own measures; the daemon is at rest
 * meanwhile.
 */
async function attackBare(attack: Attack, target: Target, good: ChildProcess): Promise<Measured> {
  // A server without any guard may have thrown everybody out: that is its measure, too.
  if (!good.connected) return { ...NOTHING, connected: false };
  good.send('work');
  await measure(good);
  await attack.run(target);
  const measured = await measure(good);
  good.send('rest');
  return measured;
}

const NOTHING: Measured = {
  asked: 0,
  answered: 0,
  refused: 0,
  p50: 0,
  p99: 0,
  longest: 0,
  connected: true,
  pid: null,
};

/** Starts the server to compare with, on a socket in a folder of its own. */
async function startBareServer(): Promise<
  Required<Pick<Target, 'socket' | 'gateway'>> & { readonly stop: () => void }
> {
  const folder = mkdtempSync(join(tmpdir(), 'bare-'));
  const socket = join(folder, 's');
  const server = spawn(process.execPath, [fileURLToPath(new URL('bare-server.ts', import.meta.url)), socket], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(server.stdout, 'data');
  return {
    socket,
    gateway: `${socket}.http`,
    stop: () => {
      server.kill('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Lists what an attack must not do and did. */
function judge(good: Measured, p99LimitMs: number, memory: AttackReport['memory']): string[] {
  const problems: string[] = [];
  if (!good.connected) problems.push('the good client was thrown out');
  if (good.refused > 0) problems.push(`${good.refused} requests of the good client were refused`);
  if (good.asked - good.answered - good.refused > 1) problems.push('answers to the good client were lost');
  if (good.answered === 0) problems.push('the good client got no answer');
  if (good.p99 > p99LimitMs) problems.push(`p99 ${good.p99.toFixed(1)} ms, over ${p99LimitMs.toFixed(1)} ms`);
  if (memory !== null && memory.settled > memory.before * MEMORY_FACTOR) {
    problems.push(`memory stays at ${memory.settled} MB, from ${memory.before} MB`);
  }
  return problems;
}

/** Waits until memory is back, or the time is over, and returns what it is then. */
async function settle(pid: number | null, before: number | null, limitMs: number): Promise<number | null> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    const now = residentMb(pid);
    if (before === null || now === null || now <= before * MEMORY_FACTOR || performance.now() > deadline) return now;
    await pause(500);
  }
}

function measure(good: ChildProcess): Promise<Measured> {
  return new Promise((resolve, reject) => {
    good.once('exit', () => reject(new Error('the good client ended')));
    good.once('message', (measured: Measured) => {
      good.removeAllListeners('exit');
      resolve(measured);
    });
    good.send('measure');
  });
}

/** Reads a process's resident memory in MB; null where there is no /proc or no such process. */
export function residentMb(pid: number | null): number | null {
  try {
    const kilobytes = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return kilobytes === undefined ? null : Math.round(Number(kilobytes) / 1024);
  } catch {
    return null;
  }
}
