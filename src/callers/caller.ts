/**
 * The caller of a request: the name that it gave, and the identity that the kernel reports.
 */

import { readlinkSync } from 'node:fs';
import type { OrganizationRights, Right } from './access.ts';
import type { PeerCredentials } from '../base/native.ts';
import { readStartTicks } from '../base/process-identity.ts';

export interface PeerIdentity extends PeerCredentials {
  /** Start time of the process, in clock ticks since boot, or null where it is unknown. */
  readonly startedAt: number | null;
  readonly executable: string | null;
}

/** Describes a process by its pid. Both fields are null if it has ended or its pid was reused. */
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

/** The program at the other end of a connection. Its declared name proves nothing. */
export interface Caller {
  /** Declared name, as plain text, or null. */
  readonly name: string | null;
  /** Client library as `name/version`, or null. */
  readonly client: string | null;
  /** Rights in the default organization, which are the daemon's own keys. */
  readonly rights: ReadonlySet<Right>;
  readonly organizations: OrganizationRights;
  /** Identity that the kernel reports, or null where the kernel cannot be asked. */
  readonly peer: PeerIdentity | null;
  /** Session name of its hello, or a name made for the connection. */
  readonly session: string;
}
