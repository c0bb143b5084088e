/**
 * One daemon per socket, and one per state folder: two daemons with sockets of their own would
 * break each other's audit. Whoever holds `aipassd.lock` may replace the socket. A live socket wins
 * over every lock: it is probed first.
 *
 * The policy of these locks: never wait, and report who holds them. The lock itself is
 * base/file-lock.ts.
 */

import { readFileSync } from 'node:fs';
import { lstat, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createConnection } from 'node:net';
import { AipassError, systemErrorCode } from '../base/errors.ts';
import { parseJson, readNumber } from '../base/json.ts';
import { tryFileLock } from '../base/file-lock.ts';
import type { Paths } from '../base/paths.ts';
import type { Warning } from '../base/warning.ts';
import { parseEnvelope, printFrame, readFrames, type PartialFrame } from '../protocol/frames.ts';
import { PROTOCOL_VERSION } from '../protocol/messages.ts';

/**
 * Takes the place of this user's daemon and removes the socket of a dead one.
 *
 * @returns the function that gives the place back.
 * @throws AipassError ALREADY_RUNNING with the other daemon's pid.
 */
export async function takeInstance(paths: Pick<Paths, 'lock' | 'socket'>): Promise<() => Promise<void>> {
  await refuseLiveSocket(paths);
  const outcome = await tryFileLock(paths.lock);
  if (outcome.kind === 'held') throw alreadyRunning(outcome.holder.pid);
  await rm(paths.socket, { force: true });
  return () => outcome.lock.release();
}

/**
 * Takes the state folder, which exists, for this daemon alone, wherever its socket is.
 *
 * @returns the function that gives it back.
 * @throws AipassError ALREADY_RUNNING with the other daemon's pid.
 */
export async function takeState({ state }: Pick<Paths, 'state'>): Promise<() => Promise<void>> {
  const lock = join(state, 'state.lock');
  const outcome = await tryFileLock(lock);
  if (outcome.kind === 'held') {
    const { pid } = outcome.holder;
    throw new AipassError(
      'ALREADY_RUNNING',
      `aipassd is already running with pid ${pid}, on another socket: it uses ${state}`,
      {
        hint: `ask it with its own AIPASSD_RUNTIME_DIR or XDG_RUNTIME_DIR; to stop it: kill ${pid}`,
      },
    );
  }
  return () => outcome.lock.release();
}

/**
 * Warns where the lock of the state is not this daemon's any more. The folder was removed, and the
 * log with it. Another daemon may use it now.
 */
export function lostStateWarnings({ state }: Pick<Paths, 'state'>, restart: string): Warning[] {
  let holder: number | undefined;
  try {
    holder = readNumber(parseJson(readFileSync(join(state, 'state.lock'), 'utf8')), 'pid');
  } catch {
    // It was removed, or cannot be read: either way nobody else is kept out.
  }
  if (holder === process.pid) return [];
  const problem =
    holder === undefined
      ? 'the state folder or its lock was removed while the daemon ran'
      : `the state folder was removed while the daemon ran, and the process ${holder} uses it now`;
  return [{ subject: state, problem, hint: `restart the daemon: ${restart}` }];
}

async function refuseLiveSocket({ lock, socket: path }: Pick<Paths, 'lock' | 'socket'>): Promise<void> {
  const probe = await probeSocket(path);
  // A daemon that hangs sends no welcome; its lock names it.
  if (probe.kind === 'alive') throw alreadyRunning(probe.pid ?? (await holderOf(lock)));
  if (probe.kind === 'not-a-socket') {
    throw new AipassError('INTERNAL', `${path} is in the way: it is not a socket`, {
      hint: `check it, then move it away: mv ${path} ${path}.old`,
    });
  }
}

/** Returns the process that holds a lock, or undefined where no living one does. */
async function holderOf(path: string): Promise<number | undefined> {
  const outcome = await tryFileLock(path);
  if (outcome.kind === 'held') return outcome.holder.pid;
  await outcome.lock.release();
  return undefined;
}

function alreadyRunning(pid: number | string | undefined): AipassError {
  return new AipassError(
    'ALREADY_RUNNING',
    `aipassd is already running${pid === undefined ? '' : ` with pid ${pid}`}`,
    {
      hint: pid === undefined ? 'see: aipassd status' : `see: aipassd status; to stop it: kill ${pid}`,
    },
  );
}

type SocketProbe =
  | { readonly kind: 'dead' }
  /** A process accepts connections; the pid is known if it sent a welcome. */
  | { readonly kind: 'alive'; readonly pid?: number }
  | { readonly kind: 'not-a-socket' };

/** Time to wait for the welcome, in milliseconds; a slower daemon counts as alive. */
const WELCOME_LIMIT_MS = 2000;

/** Maximum length of the answer, which may come from any program. */
const MAX_ANSWER_BYTES = 64 * 1024;

/** Finds out whether a daemon answers on a socket, by a hello. */
async function probeSocket(path: string): Promise<SocketProbe> {
  try {
    if (!(await lstat(path)).isSocket()) return { kind: 'not-a-socket' };
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return { kind: 'dead' };
    throw error;
  }
  return new Promise((resolve) => {
    const socket = createConnection({ path });
    let partial: PartialFrame | undefined;
    const finish = (probe: SocketProbe): void => {
      socket.destroy();
      resolve(probe);
    };
    socket.setEncoding('utf8');
    socket.setTimeout(WELCOME_LIMIT_MS, () => finish({ kind: 'alive' }));
    socket.on('connect', () => {
      socket.write(printFrame('hello', { protocol: PROTOCOL_VERSION, client: 'aipassd-probe' }));
    });
    socket.on('data', (chunk: string) => {
      try {
        partial = readFrames(partial, chunk, MAX_ANSWER_BYTES, (frame) => finish(readWelcome(frame)));
      } catch {
        finish({ kind: 'alive' });
      }
    });
    socket.on('error', (error) => {
      const code = systemErrorCode(error);
      finish(code === 'ECONNREFUSED' || code === 'ENOENT' ? { kind: 'dead' } : { kind: 'alive' });
    });
    socket.on('close', () => finish({ kind: 'alive' }));
  });
}

function readWelcome(frame: string): SocketProbe {
  const pid = readNumber(parseEnvelope(frame).data, 'pid');
  return { kind: 'alive', ...(pid === undefined ? {} : { pid }) };
}
