/**
 * One open connection as the server keeps it, and which of them have lasted too long: with an unfinished frame, with
 * nothing to say, or with more waiting for them than their user may have.
 */

import { AipassError } from '../base/errors.ts';
import type { Admission } from '../callers/gate.ts';
import type { PartialFrame } from '../protocol/frames.ts';
import type { Connection } from './connection.ts';
import type { Peer } from './peer.ts';

/** Is the state of one socket. Times are on the monotonic clock, in milliseconds. */
export interface Line {
  readonly peer: Peer;
  readonly connection: Connection;
  readonly admission: Admission;
  partial: PartialFrame | undefined;
  /** Holds frames that wait for their turn. */
  readonly backlog: string[];
  /** Is the length of the frame that is being handled, in UTF-16 units. */
  frameLength: number;
  activeAt: number;
  /** Is how many bytes the books of its user hold for this line. */
  bookedBytes: number;
}

/** Is how long a connection may take over things, in milliseconds. */
export interface LineLimits {
  /** Is how long a peer may take to finish a frame that it began. */
  readonly unfinishedMs: number;
  /** Is how long a connection may be silent while nothing is in flight and nothing subscribed to. */
  readonly idleMs: number;
}

/** Returns what a connection may take; without options long enough for a slow machine, and for a program that asks twice a day. */
export function lineLimits(options: { readonly unfinishedFrameMs?: number; readonly idleMs?: number }): LineLimits {
  return { unfinishedMs: options.unfinishedFrameMs ?? 10_000, idleMs: options.idleMs ?? 3_600_000 };
}

/** Books what waits for a line; false where its user has too much waiting now. */
export function bookWaiting(line: Line): boolean {
  const bytes = (line.partial?.bytes ?? 0) + line.peer.waitingBytes;
  const change = bytes - line.bookedBytes;
  line.bookedBytes = bytes;
  return line.admission.wait(change);
}

/** Takes back what is booked for a line that is gone. */
export function unbookWaiting(line: Line): void {
  line.admission.wait(-line.bookedBytes);
  line.bookedBytes = 0;
}

/**
 * Books what waits for all lines, and takes the largest of those users out of the books who have too much waiting, until they
 * have not: these lines are to be ended. A line of the same user for which little waits goes on.
 */
export function unbookLargest(lines: Iterable<Line>): Line[] {
  const booked = [...lines].filter((line) => !line.peer.isEnding);
  for (const line of booked) bookWaiting(line);
  const over = booked.filter((line) => !line.admission.wait(0));
  // Each one that is taken out may bring its user back within the limit.
  return over
    .toSorted((a, b) => b.bookedBytes - a.bookedBytes)
    .filter((line) => {
      if (line.admission.wait(0)) return false;
      unbookWaiting(line);
      return true;
    });
}

/** Returns why a line is to be ended now, or null. */
export function overdue(line: Line, now: number, limits: LineLimits): AipassError | null {
  const { partial, peer, connection } = line;
  if (partial !== undefined && !peer.isPaused && Math.max(partial.since, peer.resumedAt) <= now - limits.unfinishedMs) {
    return new AipassError('TIMED_OUT', `a frame was not finished within ${limits.unfinishedMs / 1000} s`, {
      hint: 'send whole frames',
    });
  }
  if (connection.isIdle && line.activeAt <= now - limits.idleMs) {
    return new AipassError('TIMED_OUT', `nothing was asked for ${Math.round(limits.idleMs / 60_000)} minutes`, {
      hint: 'connect again; aipassd clients do so by themselves',
    });
  }
  return null;
}
