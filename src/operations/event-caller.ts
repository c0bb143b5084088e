/**
 * The part of an event that describes its caller.
 */

import type { Caller } from '../callers/caller.ts';
import type { EventCaller } from '../usage/event.ts';

/** Returns what is recorded of a caller: what it calls itself, and what the kernel reports of it. */
export function eventCaller(caller: Caller, organization?: string): EventCaller {
  return {
    caller: caller.name ?? undefined,
    uid: caller.peer?.uid,
    pid: caller.peer?.pid,
    executable: caller.peer?.executable,
    session: caller.session,
    ...(organization === undefined ? {} : { organization }),
  };
}
