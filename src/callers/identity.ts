/**
 * What the kernel says of the process at the other end of a Unix socket: its user, its pid, and, to tell two processes
 * of one pid apart, when it started and what it runs.
 *
 * The user is proof. The executable is a description: any program of the same user can run any other. It is null where
 * the daemon may not look, as in the user namespace of the hardened user unit.
 */

import { readFileSync, readlinkSync } from 'node:fs';
import { peerCredentials, peerGroups } from '../base/native.ts';

/** Is a peer as the kernel knows it. */
export interface PeerIdentity {
  readonly uid: number;
  readonly gid: number;
  /** Holds the primary and the supplementary groups. */
  readonly groups: readonly number[];
  readonly pid: number | null;
  /** Is when the process started, in clock ticks since boot, or null where the system does not tell. */
  readonly startedAt: number | null;
  readonly executable: string | null;
}

/** Returns who is at the other end of a connected Unix socket, or null where that cannot be known. */
export function identifyPeer(fd: number): PeerIdentity | null {
  const peer = peerCredentials(fd);
  if (peer === null) return null;
  const groups = [peer.gid, ...(peerGroups(fd) ?? [])];
  return { ...peer, groups, ...describeProcess(peer.pid) };
}

/** Describes a process by its pid; one that has ended, or whose pid was given away meanwhile, is not described. */
export function describeProcess(pid: number | null): Pick<PeerIdentity, 'startedAt' | 'executable'> {
  const startedAt = startTime(pid);
  if (pid === null || startedAt === null) return { startedAt: null, executable: null };
  const executable = linkTarget(`/proc/${pid}/exe`);
  return startTime(pid) === startedAt ? { startedAt, executable } : { startedAt: null, executable: null };
}

/** Reads field 22 of /proc/pid/stat (proc(5)). */
function startTime(pid: number | null): number | null {
  if (pid === null) return null;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the program's name in parentheses, and may hold anything: count from the last one.
    const ticks = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
    return Number.isSafeInteger(ticks) ? ticks : null;
  } catch {
    return null;
  }
}

function linkTarget(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    return null;
  }
}
