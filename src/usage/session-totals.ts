/**
 * Folds events into the sums of sessions: a client's own, and the runs of the daemon. Pure.
 */

import { EVENT_STATUSES, type UsageEvent } from './event.ts';
import { addSums, type Sums } from './totals.ts';

/** Is what a batch adds to one session, or to one run of a daemon. */
export interface SessionRow {
  readonly session: number;
  readonly status: number;
  /** Is the id of the caller's name; 0 for a run, which has many. */
  readonly caller: number;
  readonly firstAt: number;
  readonly lastAt: number;
  readonly sums: Sums;
}

/** Collects what a batch of events adds, one row for each session and status. */
export class SessionsFold {
  readonly #rows = new Map<string, SessionRow>();

  /** Adds an event's sums to its session; session 0 is none. */
  add(event: Pick<UsageEvent, 'at' | 'status'>, session: number, caller: number, sums: readonly number[]): void {
    if (session === 0) return;
    const status = EVENT_STATUSES[event.status];
    const key = `${session},${status}`;
    const row = this.#rows.get(key);
    if (row) addSums(row.sums, sums);
    this.#rows.set(key, {
      session,
      status,
      caller,
      firstAt: Math.min(row?.firstAt ?? event.at, event.at),
      lastAt: Math.max(row?.lastAt ?? event.at, event.at),
      sums: row?.sums ?? [...sums],
    });
  }

  /** Returns the rows in the order of the table's key; see TotalsFold. */
  rows(): readonly SessionRow[] {
    return [...this.#rows.values()].sort((a, b) => a.session - b.session || a.status - b.status);
  }
}
