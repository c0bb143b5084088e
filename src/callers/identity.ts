/**
 * Identity of the process at the other end of a Unix socket: its user and pid, as the kernel reports them,
 * and its start time and executable, which distinguish two processes with one pid.
 *
 * The user is proof. The executable is a description: any program of the same user can run any other. It is
 * null where the daemon may not read it, as in the user namespace of the hardened user unit.
 */

import { readlinkSync } from 'node:fs';
import type { PeerCredentials } from '../base/native.ts';
import { readStartTicks } from '../base/process-identity.ts';

/** A peer's identity. */
export interface PeerIdentity extends PeerCredentials {
  /** Start time of the process, in clock ticks since boot, or null where it is unknown. */
  readonly startedAt: number | null;
  readonly executable: string | null;
}

/** Describes a process by its pid; the fields are null if it has ended or its pid was reused meanwhile. */
export function describeProcess(pid: number | null): Pick<PeerIdentity, 'startedAt' | 'executable'> {
  const startedAt = pid === null ? null : readStartTicks(pid);
  if (pid === null || startedAt === null) return { startedAt: null, executable: null };
  const executable = linkTarget(`/proc/${pid}/exe`);
  return readStartTicks(pid) === startedAt ? { startedAt, executable } : { startedAt: null, executable: null };
}

function linkTarget(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    return null;
  }
}
