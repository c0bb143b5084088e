/**
 * One daemon per socket. Whoever holds `aipassd.lock` may replace the socket; the lock names its holder by pid and, on
 * Linux, by that process's start time, so that a pid used again is not mistaken for it. A live socket wins over every
 * lock: it is asked first.
 *
 * A lock whose holder is dead is taken over by renaming it away: only one of several starters can do that, and one that
 * finds it renamed the wrong lock puts it back.
 */

import { randomUUID } from 'node:crypto';
import { link, readFile, rename, unlink, writeFile } from 'node:fs/promises';
import { AipassError, systemErrorCode } from '../base/errors.ts';
import type { Paths } from '../base/paths.ts';
import type { Release } from '../base/releasers.ts';
import { probeSocket } from './socket-probe.ts';

/** Bounds the attempts to take a lock over from dead holders, so that a defect cannot become a loop. */
const MAX_ATTEMPTS = 20;

/**
 * Takes the place of this user's daemon and removes the socket of a dead one.
 *
 * @returns the function that gives the place back.
 * @throws AipassError ALREADY_RUNNING with the other daemon's pid.
 */
export async function takeInstance(paths: Pick<Paths, 'lock' | 'socket'>): Promise<Release> {
  const mine = `${process.pid} ${(await readStartTime(process.pid)) ?? '-'} ${randomUUID()}\n`;
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
    await refuseLiveSocket(paths.socket);
    if (await createLock(paths.lock, mine)) {
      await removeStaleSocket(paths.socket);
      return () => releaseLock(paths.lock, mine);
    }
    const holder = await readIfThere(paths.lock);
    if (holder === undefined) continue;
    if (await isAlive(holder)) throw alreadyRunning(holder.split(' ')[0]);
    await removeDeadLock(paths.lock, holder);
  }
  throw new AipassError('INTERNAL', `cannot take the lock ${paths.lock}`, {
    hint: `if no aipassd runs, remove it: rm ${paths.lock}`,
  });
}

async function refuseLiveSocket(path: string): Promise<void> {
  const probe = await probeSocket(path);
  if (probe.kind === 'alive') throw alreadyRunning(probe.pid);
  if (probe.kind === 'not-a-socket') {
    throw new AipassError('INTERNAL', `${path} is in the way: it is no socket`, {
      hint: `look at it, and move it away: mv ${path} ${path}.old`,
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

async function removeDeadLock(path: string, content: string): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return;
    throw error;
  }
  // Somebody else may have been faster, and this be the lock of a living daemon: it goes back.
  if ((await readIfThere(aside)) !== content) await link(aside, path).catch(() => {});
  await unlink(aside);
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
  const started = await readStartTime(pid);
  return started === undefined || startTime === '-' || started === startTime;
}

/** Reads when a process started, in clock ticks since boot (field 22 of /proc/pid/stat, proc(5)); undefined where there is no /proc. */
async function readStartTime(pid: number): Promise<string | undefined> {
  const stat = await readIfThere(`/proc/${pid}/stat`);
  // The second field is the program's name in parentheses, and may hold anything: count from the last one.
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT' || systemErrorCode(error) === 'ESRCH') return undefined;
    throw error;
  }
}
