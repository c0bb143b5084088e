/**
 * Starts and stops the programs that are measured: the built daemon on a temporary home, and the
 * reference servers. Each is a process of its own, so that none profits from sharing one with the
 * measuring.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Address } from './http-asker.ts';

/** The built command line. */
export const CLI = fileURLToPath(new URL('../dist/cli.js', import.meta.url));

/** A key of the right shape that is worth nothing. */
export const BENCH_KEY = `sk-or-v1-${'0123456789abcdef'.repeat(4)}`;

/** A temporary home and the environment that leads there. */
export interface Home {
  readonly env: Record<string, string | undefined>;
  readonly socket: string;
  remove(): void;
}

/** Makes a temporary home with one key. */
export function makeHome(config: object = {}): Home {
  const root = mkdtempSync(join(tmpdir(), 'aip-'));
  const secrets = join(root, 's');
  mkdirSync(join(secrets, 'aipass'), { recursive: true, mode: 0o700 });
  mkdirSync(join(root, 'st'), { mode: 0o700 });
  writeFileSync(join(secrets, 'aipass', '.env'), `OPENROUTER_API_KEY=${BENCH_KEY}\n`, { mode: 0o600 });
  writeFileSync(join(root, 'config.jsonc'), JSON.stringify(config));
  return {
    env: {
      ...process.env,
      AIPASSD_SECRETS_DIR: secrets,
      AIPASSD_CONFIG: join(root, 'config.jsonc'),
      AIPASSD_STATE_DIR: join(root, 'st'),
      AIPASSD_RUNTIME_DIR: join(root, 'r'),
    },
    socket: join(root, 'r', 'aipassd.sock'),
    remove: () => rmSync(root, { recursive: true, force: true }),
  };
}

/** A running program. */
export interface Running {
  readonly pid: number;
  /** The milliseconds from spawn to the word that says it is ready. */
  readonly readyMs: number;
  /** Returns what it wrote to standard output so far. */
  output(): string;
  stop(): Promise<void>;
}

/** Time that a program gets to be ready, and to end when it is asked to, in milliseconds. */
const READY_MS = 120_000;
const END_MS = 10_000;

/** How often a socket is tried while its server starts, in milliseconds. */
const TRY_MS = 2;

/**
 * Starts a program of Node, or another one; it is ready when its stdout holds the word, or when it
 * accepts connections.
 */
export async function start(
  args: readonly string[],
  ready: { readonly word: string } | { readonly socket: string } | { readonly port: number },
  env: NodeJS.ProcessEnv = process.env,
  command = process.execPath,
): Promise<Running> {
  const began = performance.now();
  const child: ChildProcess = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const { pid, stdout } = child;
  if (pid === undefined || stdout === null) throw new Error('the program did not start');
  let text = '';
  let isReady: (() => void) | undefined;
  stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString();
    if ('word' in ready && text.includes(ready.word)) isReady?.();
  });
  const gone = once(child, 'exit');
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), END_MS);
    await gone;
    clearTimeout(timer);
  };
  const giveUp = new AbortController();
  const timer = setTimeout(() => giveUp.abort(), READY_MS);
  try {
    await new Promise<void>((resolve, reject) => {
      isReady = resolve;
      child.once('exit', (code) => reject(new Error(`${args.join(' ')} ended with ${code}: ${text}`)));
      giveUp.signal.addEventListener('abort', () => reject(new Error(`${args.join(' ')} is not ready: ${text}`)));
      if ('socket' in ready) void untilAccepting({ path: ready.socket }, giveUp.signal).then(resolve);
      if ('port' in ready) void untilAccepting({ host: '127.0.0.1', port: ready.port }, giveUp.signal).then(resolve);
    });
  } catch (error) {
    giveUp.abort();
    await stop();
    throw error;
  } finally {
    clearTimeout(timer);
  }
  const readyMs = performance.now() - began;
  return {
    pid,
    readyMs,
    output: () => text,
    stop,
  };
}

/** Resolves when a socket or a port accepts connections, or when the signal aborts. */
export async function untilAccepting(address: Address, signal?: AbortSignal): Promise<void> {
  for (;;) {
    if (signal?.aborted === true) return;
    const socket = createConnection(address);
    const isAccepted = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    socket.destroy();
    if (isAccepted) return;
    await delay(TRY_MS);
  }
}

/** Starts the daemon on a home, with the environment that its unit of systemd sets. */
export function startDaemon(home: Home): Promise<Running> {
  return start([CLI, 'run'], { socket: home.socket }, { ...home.env, ...environmentOfUnit() });
}

function environmentOfUnit(): Record<string, string> {
  const unit = readFileSync(new URL('../systemd/aipassd.service', import.meta.url), 'utf8');
  return Object.fromEntries(
    [...unit.matchAll(/^Environment=(\w+)=(.*)$/gm)].map(([, name = '', value = '']) => [name, value]),
  );
}

/** Starts one of the reference servers on a socket path. */
export function startServer(name: 'echo' | 'lines', path: string): Promise<Running> {
  return start([fileURLToPath(new URL(`servers/${name}.ts`, import.meta.url)), path, BENCH_KEY], { word: 'ready' });
}
