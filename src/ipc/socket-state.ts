/**
 * State of one socket of the server, and the rules by which the server closes sockets. These are an
 * unfinished frame, no request for a long time, or more waiting bytes than one user may have.
 */

import { AipassError } from '../base/errors.ts';
import type { Admission } from '../callers/gate.ts';
import type { PartialFrame } from '../protocol/frames.ts';
import type { Connection } from './connection.ts';
import type { Peer } from './peer.ts';

/** State of one socket. Times are on the monotonic clock, in milliseconds. */
export interface SocketState {
  readonly peer: Peer;
  readonly connection: Connection;
  readonly admission: Admission;
  partial: PartialFrame | undefined;
  /** Frames that wait in the fair queue. */
  readonly backlog: string[];
  /** Length of the frame that is being handled, in UTF-16 units. */
  frameLength: number;
  activeAt: number;
  /** Bytes that count against the user's limit because of this socket. */
  countedBytes: number;
}

/** Time limits of a connection, in milliseconds. */
export interface SocketTimeouts {
  /** Time in which a peer must finish a frame that it began. */
  readonly unfinishedFrameMs: number;
  /** Time in which a peer must send its first message. */
  readonly silentMs: number;
  /** Time after which an idle connection without a subscription is closed. */
  readonly idleMs: number;
}

/** Time limits that suit a slow machine and a program that asks rarely. */
export const USUAL_TIMEOUTS: SocketTimeouts = { unfinishedFrameMs: 10_000, silentMs: 5000, idleMs: 3_600_000 };

/** Returns the error for a socket that makes its user exceed the limit of waiting bytes. */
export function tooMuchWaiting(): AipassError {
  return new AipassError('BAD_REQUEST', 'too many bytes wait for this user', {
    hint: 'read replies and finish frames before sending more, or raise limits.perUser.waitingBytes',
  });
}

/** Counts the bytes that wait for a socket; false if its user has too many now. */
export function countWaiting(socket: SocketState): boolean {
  const bytes = (socket.partial?.bytes ?? 0) + socket.peer.waitingBytes;
  const change = bytes - socket.countedBytes;
  socket.countedBytes = bytes;
  return socket.admission.wait(change);
}

export function uncountWaiting(socket: SocketState): void {
  socket.admission.wait(-socket.countedBytes);
  socket.countedBytes = 0;
}

/**
 * Counts the bytes that wait for all sockets and returns the sockets to close. Of each user over
 * the limit, these are the largest ones, until the others fit. Smaller sockets of the same user
 * stay open.
 */
export function uncountLargest(sockets: Iterable<SocketState>): SocketState[] {
  const counted = [...sockets].filter((socket) => !socket.peer.isEnding);
  for (const socket of counted) countWaiting(socket);
  const over = counted.filter((socket) => !socket.admission.wait(0));
  // Each one that is removed may bring its user back within the limit.
  return over
    .toSorted((a, b) => b.countedBytes - a.countedBytes)
    .filter((socket) => {
      if (socket.admission.wait(0)) return false;
      uncountWaiting(socket);
      return true;
    });
}

/** Returns the error with which a socket is to be closed now, or null. */
export function overdue(socket: SocketState, now: number, limits: SocketTimeouts): AipassError | null {
  const { partial, peer, connection } = socket;
  if (
    partial !== undefined &&
    !peer.isPaused &&
    Math.max(partial.since, peer.resumedAt) <= now - limits.unfinishedFrameMs
  ) {
    return new AipassError('TIMED_OUT', `a frame was not finished within ${limits.unfinishedFrameMs / 1000} s`, {
      hint: 'send whole frames',
    });
  }
  if (!connection.hasSpoken && partial === undefined && socket.activeAt <= now - limits.silentMs) {
    return new AipassError('TIMED_OUT', `no message came within ${limits.silentMs / 1000} s`, {
      hint: 'connect only to send requests, and send hello first',
    });
  }
  if (connection.isIdle && socket.activeAt <= now - limits.idleMs) {
    return new AipassError('TIMED_OUT', `no request came for ${Math.round(limits.idleMs / 60_000)} minutes`, {
      hint: 'connect again; aipassd clients do so by themselves',
    });
  }
  return null;
}
