/**
 * Identifies a process by pid and start time, so that a pid that was given to another process is
 * not mistaken for it.
 */

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { systemErrorCode } from './errors.ts';

/** A process, for as long as the machine runs. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Start time as the system gives it, for comparison only, or null. */
  readonly started: string | null;
}

/** `isDefunct`: it has ended and only waits for its parent (a zombie). */
interface ProcessState {
  readonly started: string;
  readonly isDefunct: boolean;
}

/** Returns the identity of a running process, or undefined. A zombie counts as ended. */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  const state = process.platform === 'linux' ? readStateOnLinux(pid) : readStateWithPs(pid);
  if (state === undefined) return isPidUsed(pid) ? { pid, started: null } : undefined;
  return state.isDefunct ? undefined : { pid, started: state.started };
}

/**
 * Returns whether the process that was identified still runs.
 *
 * Where its start time is not known, or cannot be read now, any process of its pid is taken for it.
 * To take a living process for a dead one is the worse mistake.
 */
export function isProcessAlive(identity: ProcessIdentity): boolean {
  const found = identifyProcess(identity.pid);
  if (found === undefined) return false;
  return found.started === null || identity.started === null || found.started === identity.started;
}

/** Returns when a process started, in clock ticks since boot (field 22 of proc(5)), or null. */
export function readStartTicks(pid: number): number | null {
  const ticks = Number(readStat(pid)?.[19] ?? 'none');
  return Number.isSafeInteger(ticks) ? ticks : null;
}

function readStateOnLinux(pid: number): ProcessState | undefined {
  const fields = readStat(pid);
  const [state] = fields ?? [];
  const ticks = fields?.[19];
  if (state === undefined || ticks === undefined) return undefined;
  return { started: `${readBootId()}:${ticks}`, isDefunct: state === 'Z' || state === 'X' };
}

/** Returns the fields of /proc/<pid>/stat from the third on: the second can hold spaces. */
function readStat(pid: number): readonly string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

/** Returns what identifies the current boot of this machine: ticks begin anew with each. */
function readBootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return 'unknown-boot';
  }
}

function readStateWithPs(pid: number): ProcessState | undefined {
  try {
    const line = execFileSync('/bin/ps', ['-o', 'stat=,lstart=', '-p', String(pid)], {
      encoding: 'utf8',
      env: { LC_ALL: 'C' },
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: 5_000,
    }).trim();
    return line === '' ? undefined : { started: line.replace(/^\S+\s+/, ''), isDefunct: line.startsWith('Z') };
  } catch {
    return undefined;
  }
}

function isPidUsed(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return systemErrorCode(error) === 'EPERM';
  }
}
