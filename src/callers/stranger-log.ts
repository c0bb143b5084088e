/**
 * Notes those who were turned away at the door: each user at most once a second, with the number of times between, so
 * that nobody can push older lines out of the log and the audit by knocking.
 */

import type { Clock } from '../base/clock.ts';

const QUIET_MS = 1000;

/** Bounds the books: of more users than this at a time, the oldest note is forgotten. */
const MAX_USERS = 1000;

/** Is told of a stranger; `more` counts the times that were not told since the last one. */
export type TellStranger = (uid: number, pid: number | null, more: number) => void;

/** Makes a teller that is called for every stranger, and tells of some. */
export function quietStrangers(clock: Clock, tell: TellStranger): (uid: number, pid: number | null) => void {
  const notes = new Map<number, { at: number; more: number }>();
  return (uid, pid) => {
    const note = notes.get(uid);
    const now = clock.monotonic();
    if (note && now - note.at < QUIET_MS) {
      note.more += 1;
      return;
    }
    notes.delete(uid);
    notes.set(uid, { at: now, more: 0 });
    const [oldest] = notes.keys();
    if (notes.size > MAX_USERS && oldest !== undefined) notes.delete(oldest);
    tell(uid, pid, note?.more ?? 0);
  };
}
