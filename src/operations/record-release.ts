/**
 * Records that a credential was handed out, or that somebody asked for one in vain.
 */

import { AipassError } from '../base/errors.ts';
import type { RawEvent } from '../usage/event.ts';

/** Keeps an event; see usage/usage.ts. */
export type RecordEvent = (event: RawEvent) => void;

/** Hands out a credential and records it, with how that ended. Throws what `release` throws. */
export function recordRelease<Result>(
  record: RecordEvent,
  event: Omit<RawEvent, 'status'>,
  release: () => Result,
): Result {
  try {
    const result = release();
    record({ ...event, status: 'success' });
    return result;
  } catch (error) {
    record({ ...event, status: 'failed', errorCode: error instanceof AipassError ? error.code : 'INTERNAL' });
    throw error;
  }
}
