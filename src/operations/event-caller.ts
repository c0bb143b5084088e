/**
 * Says of a caller what is recorded of it.
 */

import type { Caller } from '../callers/caller.ts';
import type { EventCaller } from '../usage/event.ts';

/** Returns the part of an event that tells who asked: what it calls itself, and what the kernel says of it. */
export function eventCaller(caller: Caller): EventCaller {
  return {
    caller: caller.name ?? undefined,
    uid: caller.peer?.uid,
    pid: caller.peer?.pid,
    executable: caller.peer?.executable,
    session: caller.session,
  };
}
