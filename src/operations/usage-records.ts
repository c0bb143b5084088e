/**
 * Usage events of requests: who asked, and whether a credential was handed out or the request for
 * it failed.
 */

import { AipassError } from '../base/errors.ts';
import type { Caller } from '../callers/caller.ts';
import type { RawEvent, EventCaller } from '../usage/event.ts';

/** Records an event; see usage/usage.ts. */
export type RecordEvent = (event: RawEvent) => void;

type Asked = Pick<RawEvent, 'operation' | 'provider' | 'keyId'>;

/** The last release of each caller: a program in a hurry has the same one again and again. */
const lastReleases = new WeakMap<Caller, RawEvent>();

/** Hands out a credential, and records the outcome; `details` adds to that. */
export function recordRelease<Result>(
  record: RecordEvent,
  caller: Caller,
  asked: Asked,
  release: () => Promise<Result> | Result,
  details?: (result: Result) => Pick<RawEvent, 'provider' | 'keyId'>,
): Promise<Result> | Result {
  const released = (result: Result): Result => {
    const { provider = asked.provider, keyId = asked.keyId } = details?.(result) ?? asked;
    record(releaseEvent(caller, asked.operation, provider, keyId));
    return result;
  };
  const failed = (error: unknown): never => {
    const errorCode = error instanceof AipassError ? error.code : 'INTERNAL';
    record({ ...eventCaller(caller), ...asked, status: 'failed', errorCode });
    throw error;
  };
  let result: Promise<Result> | Result;
  try {
    result = release();
  } catch (error) {
    return failed(error);
  }
  return result instanceof Promise ? result.then(released, failed) : released(result);
}

function releaseEvent(caller: Caller, operation: string, provider: Asked['provider'], keyId: Asked['keyId']): RawEvent {
  const last = lastReleases.get(caller);
  if (last?.operation === operation && last.keyId === keyId && last.provider === provider) return last;
  const event: RawEvent = { ...eventCaller(caller), operation, provider, keyId, status: 'success' };
  lastReleases.set(caller, event);
  return event;
}

/** Returns what is recorded of a caller: its own words, and the kernel's. */
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
