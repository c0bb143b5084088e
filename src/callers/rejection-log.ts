/**
 * Limits how often rejected peers are reported: each user at most once a second, with the number of
 * rejections in between, so that nobody can flood log and audit with connection attempts.
 */

import { BoundedMap } from '../base/bounded-map.ts';
import type { Clock } from '../base/clock.ts';

const QUIET_MS = 1000;

/** Maximum number of users that are remembered; the oldest one is dropped. */
const MAX_USERS = 1000;

/** Reports a rejected peer; `more` counts the rejections since the last report. */
export type ReportRejection = (uid: number, pid: number | null, more: number) => void;

/** Returns a function to call for every rejected peer; it forwards some of the calls to `report`. */
export function limitRejections(clock: Clock, report: ReportRejection): (uid: number, pid: number | null) => void {
  const notes = new BoundedMap<number, { at: number; more: number }>(MAX_USERS);
  return (uid, pid) => {
    const note = notes.get(uid);
    const now = clock.monotonic();
    if (note && now - note.at < QUIET_MS) {
      note.more += 1;
      return;
    }
    notes.set(uid, { at: now, more: 0 });
    report(uid, pid, note?.more ?? 0);
  };
}
