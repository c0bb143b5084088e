/**
 * The lock of one account: a file beside the account's own that names its holder by pid and start time. Whoever asks a
 * provider for tokens of the account holds it, so that a daemon that was killed and started again does not send a
 * refresh token that the worker of its predecessor has just used up.
 *
 * A lock is created complete (link of a finished file), so it is never seen half written. A dead holder's lock is
 * replaced by the one process that claims that very instance of it; the claim is a lock of the same kind.
 */

import { randomUUID } from 'node:crypto';
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemErrorCode } from '../base/errors.ts';
import { identifyProcess, isAlive, type ProcessIdentity } from './process-identity.ts';

/** Is how often a held lock is looked at again, in milliseconds. */
const POLL_MS = 50;

/** Bounds how many claimants may have died one after the other in the middle of a claim. */
const MAX_CLAIM_DEPTH = 4;

interface Holder extends ProcessIdentity {
  /** Tells this instance of the lock from every other. */
  readonly nonce: string;
}

/** Is a lock that is held. */
export interface AccountLock {
  release(): Promise<void>;
}

/** Returns where the lock of an account's file is. */
export function lockPath(accountFile: string): string {
  return join(dirname(accountFile), `.${basename(accountFile)}.lock`);
}

/** Takes a lock as soon as it is free; returns undefined when a living process still holds it after `waitMs`. Throws the system's error where the folder cannot be written. */
export async function acquireLock(path: string, waitMs: number): Promise<AccountLock | undefined> {
  const deadline = performance.now() + waitMs;
  for (;;) {
    const lock = await tryLock(path, 0);
    if (lock !== undefined || performance.now() >= deadline) return lock;
    await sleep(POLL_MS);
  }
}

async function tryLock(path: string, depth: number): Promise<AccountLock | undefined> {
  const self = identifyProcess(process.pid);
  if (self === undefined) throw new Error('this system does not tell when a process started');
  const holder: Holder = { ...self, nonce: randomUUID() };
  const own = `${path}.${holder.nonce}`;
  await writeFile(own, JSON.stringify(holder), { mode: 0o600, flag: 'wx' });
  try {
    if (await linkOnce(own, path)) return held(path);
    const current = await readHolder(path);
    if (current === 'gone' || depth >= MAX_CLAIM_DEPTH) return undefined;
    if (current !== 'broken' && isAlive(current)) return undefined;
    return await replaceDead(path, own, current, depth);
  } finally {
    await rm(own, { force: true });
  }
}

/** Replaces the lock of a dead holder. Only the holder of the claim on this instance may, and only while it is still this instance. */
async function replaceDead(
  path: string,
  own: string,
  dead: Holder | 'broken',
  depth: number,
): Promise<AccountLock | undefined> {
  const nonce = nonceOf(dead);
  const claim = await tryLock(`${path}.claim-${nonce}`, depth + 1);
  if (claim === undefined) return undefined;
  try {
    const current = await readHolder(path);
    if (current === 'gone' || nonceOf(current) !== nonce) return undefined;
    await rename(own, path);
    return held(path);
  } finally {
    await claim.release();
  }
}

function nonceOf(holder: Holder | 'broken'): string {
  return holder === 'broken' ? 'broken' : holder.nonce;
}

function held(path: string): AccountLock {
  return { release: () => rm(path, { force: true }) };
}

async function linkOnce(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'EEXIST') return false;
    throw error;
  }
}

async function readHolder(path: string): Promise<Holder | 'gone' | 'broken'> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return 'gone';
    throw error;
  }
  try {
    const value: unknown = JSON.parse(text);
    if (
      typeof value === 'object' &&
      value !== null &&
      'pid' in value &&
      typeof value.pid === 'number' &&
      'started' in value &&
      typeof value.started === 'string' &&
      'nonce' in value &&
      typeof value.nonce === 'string' &&
      /^[0-9a-f-]{36}$/.test(value.nonce)
    ) {
      return { pid: value.pid, started: value.started, nonce: value.nonce };
    }
  } catch {
    // Nobody here writes such a file: it is treated as a dead holder's.
  }
  return 'broken';
}
