/**
 * One daemon per socket, and one per state folder: two daemons with sockets of their own would break each other's audit.
 * Whoever holds `aipassd.lock` may replace the socket. A live socket wins over every lock: it is probed first.
 *
 * The policy of these locks: never wait, and report who holds them. The lock itself is base/file-lock.ts.
 */

import { unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { AipassError, systemErrorCode } from '../base/errors.ts';
import { tryFileLock } from '../base/file-lock.ts';
import type { Paths } from '../base/paths.ts';
import { probeSocket } from './socket-probe.ts';

/**
 * Takes the place of this user's daemon and removes the socket of a dead one.
 *
 * @returns the function that gives the place back.
 * @throws AipassError ALREADY_RUNNING with the other daemon's pid.
 */
export async function takeInstance(paths: Pick<Paths, 'lock' | 'socket'>): Promise<() => Promise<void>> {
  await refuseLiveSocket(paths.socket);
  const outcome = await tryFileLock(paths.lock);
  if (outcome.kind === 'held') throw alreadyRunning(outcome.holder.pid);
  await removeStaleSocket(paths.socket);
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
      `aipassd is running already with pid ${pid}, on another socket: it uses ${state}`,
      {
        hint: `ask it with its own AIPASSD_RUNTIME_DIR or XDG_RUNTIME_DIR; to stop it: kill ${pid}`,
      },
    );
  }
  return () => outcome.lock.release();
}

async function refuseLiveSocket(path: string): Promise<void> {
  const probe = await probeSocket(path);
  if (probe.kind === 'alive') throw alreadyRunning(probe.pid);
  if (probe.kind === 'not-a-socket') {
    throw new AipassError('INTERNAL', `${path} is in the way: it is not a socket`, {
      hint: `check it, then move it away: mv ${path} ${path}.old`,
    });
  }
}

async function removeStaleSocket(path: string): Promise<void> {
  await unlink(path).catch((error: unknown) => {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
  });
}

function alreadyRunning(pid: number | string | undefined): AipassError {
  return new AipassError(
    'ALREADY_RUNNING',
    `aipassd is running already${pid === undefined ? '' : ` with pid ${pid}`}`,
    {
      hint: pid === undefined ? 'see: aipassd status' : `see: aipassd status; to stop it: kill ${pid}`,
    },
  );
}
