/**
 * Tells one process from another that later got the same pid: by the time it started.
 */

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Is a process, for as long as the machine runs. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Is when it started, in the system's own words: compared, never computed with. */
  readonly started: string;
}

/** Returns the identity of a living process, or undefined where there is none of this pid (a zombie counts as none). */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  const started = process.platform === 'linux' ? startedOnLinux(pid) : startedElsewhere(pid);
  return started === undefined ? undefined : { pid, started };
}

/** Tells whether the process that was identified still lives. */
export function isAlive(identity: ProcessIdentity): boolean {
  return identifyProcess(identity.pid)?.started === identity.started;
}

/** Reads boot and start tick (proc(5), field 22); the name in field 2 can hold spaces and brackets, so it is cut off first. */
function startedOnLinux(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [state] = fields;
    const tick = fields[19];
    if (state === 'Z' || state === 'X' || tick === undefined) return undefined;
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}:${tick}`;
  } catch {
    return undefined;
  }
}

function startedElsewhere(pid: number): string | undefined {
  try {
    const line = execFileSync('/bin/ps', ['-o', 'stat=,lstart=', '-p', String(pid)], {
      encoding: 'utf8',
      env: { LC_ALL: 'C' },
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: 5_000,
    }).trim();
    return line === '' || line.startsWith('Z') ? undefined : line.replace(/^\S+\s+/, '');
  } catch {
    return undefined;
  }
}
