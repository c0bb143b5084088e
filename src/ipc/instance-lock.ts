/**
 * One daemon per socket, and one per state folder: two daemons would break each other's audit. The holder
 * of `aipassd.lock` may replace the socket. The lock names its holder by pid and, on Linux, by start time,
 * so that a reused pid is not mistaken for it. A live socket outranks every lock: it is probed first.
 *
 * A lock is made by linking, which succeeds for one of several starters only. The lock of a dead holder is
 * replaced in one step, by the process that holds a second lock named after the content of the first. So
 * the lock is never absent, and a third starter can't make one of its own in between.
 */

import { createHash, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { link, readFile, rename, unlink, writeFile } from 'node:fs/promises';
import { AipassError, systemErrorCode } from '../base/errors.ts';
import type { Paths } from '../base/paths.ts';
import type { Release } from '../base/releasers.ts';
import { probeSocket } from './socket-probe.ts';

/** Maximum number of attempts to take one lock. */
const MAX_ATTEMPTS = 20;

/**
 * Takes the place of this user's daemon and removes the socket of a dead one.
 *
 * @returns the function that gives the place back.
 * @throws AipassError ALREADY_RUNNING with the other daemon's pid.
 */
export async function takeInstance(paths: Pick<Paths, 'lock' | 'socket'>): Promise<Release> {
  await refuseLiveSocket(paths.socket);
  const mine = await describeOurselves();
  const holder = await takeLock(paths.lock, mine);
  if (holder !== undefined) throw alreadyRunning(holder.split(' ')[0]);
  await removeStaleSocket(paths.socket);
  return () => releaseLock(paths.lock, mine);
}

/**
 * Takes the state folder, which exists, for this daemon alone, wherever its socket is.
 *
 * @returns the function that gives it back.
 * @throws AipassError ALREADY_RUNNING with the other daemon's pid.
 */
export async function takeState({ state }: Pick<Paths, 'state'>): Promise<Release> {
  const lock = join(state, 'state.lock');
  const mine = await describeOurselves();
  const holder = await takeLock(lock, mine);
  const [pid] = holder?.split(' ') ?? [];
  if (pid !== undefined) {
    throw new AipassError(
      'ALREADY_RUNNING',
      `aipassd is running already with pid ${pid}, on another socket: it uses ${state}`,
      {
        hint: `ask it with its own AIPASSD_RUNTIME_DIR or XDG_RUNTIME_DIR; to stop it: kill ${pid}`,
      },
    );
  }
  return () => releaseLock(lock, mine);
}

async function describeOurselves(): Promise<string> {
  return `${process.pid} ${(await readStartTime(process.pid)) ?? '-'} ${randomUUID()}\n`;
}

/** Takes a lock, from a dead holder too; returns the content of a living holder's, or undefined once it is ours. */
async function takeLock(path: string, mine: string): Promise<string | undefined> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
    if (await createLock(path, mine)) return undefined;
    const holder = await readIfThere(path);
    if (holder === undefined) continue;
    if (await isAlive(holder)) return holder;

    const right = `${path}.${createHash('sha256').update(holder).digest('hex').slice(0, 16)}`;
    const other = await takeLock(right, mine);
    if (other !== undefined) return other;
    try {
      // The dead holder's lock may be long replaced: then this right was given up before, and made anew by us.
      if ((await readIfThere(path)) === holder) {
        await replaceLock(path, mine);
        return undefined;
      }
    } finally {
      await unlink(right);
    }
  }
  throw new AipassError('INTERNAL', `cannot take the lock ${path}`, {
    hint: `if no aipassd runs, remove it: rm ${path}*`,
  });
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

async function createLock(path: string, content: string): Promise<boolean> {
  // Linked into place, so that nobody ever reads a lock without its content.
  const draft = `${path}.${randomUUID()}`;
  await writeFile(draft, content, { flag: 'wx', mode: 0o600 });
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'EEXIST') return false;
    throw error;
  } finally {
    await unlink(draft);
  }
}

async function replaceLock(path: string, content: string): Promise<void> {
  const draft = `${path}.${randomUUID()}`;
  await writeFile(draft, content, { flag: 'wx', mode: 0o600 });
  await rename(draft, path);
}

async function releaseLock(path: string, mine: string): Promise<void> {
  if ((await readIfThere(path)) === mine) await unlink(path);
}

async function isAlive(holder: string): Promise<boolean> {
  const [pidText, startTime] = holder.trim().split(' ');
  const pid = Number(pidText);
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (systemErrorCode(error) !== 'EPERM') return false;
  }
  if (await isDefunct(pid)) return false;
  const started = await readStartTime(pid);
  return started === undefined || startTime === '-' || started === startTime;
}

/** Returns whether a process has ended but was not reaped yet (state Z or X, field 3 of /proc/pid/stat). */
async function isDefunct(pid: number): Promise<boolean> {
  const state = (await readStat(pid))?.[0];
  return state === 'Z' || state === 'X';
}

/** Reads when a process started, in clock ticks since boot (field 22 of /proc/pid/stat, proc(5)); undefined where there is no /proc. */
async function readStartTime(pid: number): Promise<string | undefined> {
  return (await readStat(pid))?.[19];
}

async function readStat(pid: number): Promise<string[] | undefined> {
  const stat = await readIfThere(`/proc/${pid}/stat`);
  // The second field is the program's name in parentheses, and may hold anything: count from the last one.
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT' || systemErrorCode(error) === 'ESRCH') return undefined;
    throw error;
  }
}
