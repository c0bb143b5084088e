/**
 * Checks paths on disk: existence, owner and mode.
 */

import { lstat, stat, statfs } from 'node:fs/promises';
import { systemErrorCode } from '../base/errors.ts';
import { shellQuote } from '../base/shell-quote.ts';
import { findingsOf, type Finding } from './finding.ts';

/** A path to check. */
export interface PathRule {
  readonly path: string;
  readonly kind: 'folder' | 'file' | 'socket';
  /** Mode bits that must not be set. */
  readonly forbidden: number;
  /** Action for a missing path; without one the path may be missing. */
  readonly whenMissing?: string;
  /** Whether root may own it as well. */
  readonly rootMayOwn?: true;
}

/** Checks the kind, owner and mode of a path. */
export async function checkPath(rule: PathRule, uid: number): Promise<Finding> {
  const { ok, warning, problem } = findingsOf('files');
  const word = shellQuote(rule.path);
  let found: Awaited<ReturnType<typeof stat>>;
  try {
    found = await stat(rule.path);
  } catch (error) {
    const code = systemErrorCode(error);
    if (code !== 'ENOENT')
      return problem(`${rule.path} cannot be checked: ${code ?? 'unknown reason'}`, `ls -ld ${word}`);
    if (await isDanglingLink(rule.path)) return problem(`${rule.path} is a link to nothing`, `rm ${word}`);
    return rule.whenMissing === undefined
      ? ok(`${rule.path} does not exist, which is fine`)
      : warning(`${rule.path} is not there`, rule.whenMissing);
  }
  const is = found.isDirectory() ? 'folder' : found.isFile() ? 'file' : found.isSocket() ? 'socket' : 'other';
  if (is !== rule.kind) return problem(`${rule.path} is not a ${rule.kind}`, `check it: ls -ld ${word}`);
  if (found.uid !== uid && !(rule.rootMayOwn && found.uid === 0))
    return problem(`${rule.path} belongs to uid ${found.uid}, not ${uid}`, `sudo chown ${uid} ${word}`);
  if ((found.mode & rule.forbidden) !== 0) {
    const allowed = (found.mode & 0o777 & ~rule.forbidden).toString(8).padStart(3, '0');
    return problem(
      `${rule.path} is accessible to other users: mode ${printMode(found.mode)}`,
      `chmod ${allowed} ${word}`,
    );
  }
  return ok(`${rule.path}: mode ${printMode(found.mode)}, owner ${found.uid}`);
}

function printMode(mode: number): string {
  return (mode & 0o777).toString(8).padStart(4, '0');
}

/** Returns the owner of a path, or null if it can't be read. */
export async function ownerOf(path: string): Promise<number | null> {
  const found = await stat(path).catch(() => null);
  return found?.uid ?? null;
}

async function isDanglingLink(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isSymbolicLink();
  } catch {
    return false;
  }
}

/** Free space below which the log, the audit and the usage of a busy day may not fit. */
const WARN_FREE_BYTES = 1024 ** 3;
const LEAST_FREE_BYTES = 100 * 1024 ** 2;

/** Classifies the free space of a disk. */
function judgeFreeSpace(path: string, freeBytes: number): Finding {
  const { ok, warning, problem } = findingsOf('disk');
  const text = `${Math.floor(freeBytes / 1024 ** 2)} MB free for ${path}`;
  const hint = 'free some space: state, usage and audit are written there';
  if (freeBytes < LEAST_FREE_BYTES) return problem(text, hint);
  return freeBytes < WARN_FREE_BYTES ? warning(text, hint) : ok(text);
}

/** Checks the free space of the disk that holds a folder. */
export async function checkFreeSpace(path: string): Promise<Finding> {
  try {
    const disk = await statfs(path);
    return judgeFreeSpace(path, disk.bavail * disk.bsize);
  } catch (error) {
    return findingsOf('disk').warning(
      `cannot read the free space of the disk of ${path}: ${systemErrorCode(error) ?? 'unknown reason'}`,
      'start the daemon once: it makes the folder',
    );
  }
}
