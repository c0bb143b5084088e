/**
 * Records that a credential was handed out, or that the request for it failed.
 */

import { AipassError } from '../base/errors.ts';
import type { RawEvent } from '../usage/event.ts';

/** Records an event; see usage/usage.ts. */
export type RecordEvent = (event: RawEvent) => void;

/**
 * Hands out a credential, at once or later, and records the outcome; `details` returns what the
 * result adds. Fails as `release` does.
 */
export function recordRelease<Result>(
  record: RecordEvent,
  event: Omit<RawEvent, 'status'>,
  release: () => Promise<Result> | Result,
  details?: (result: Result) => Pick<RawEvent, 'provider' | 'keyId'>,
): Promise<Result> | Result {
  const released = (result: Result): Result => {
    record({ ...event, ...details?.(result), status: 'success' });
    return result;
  };
  const failed = (error: unknown): never => {
    record({ ...event, status: 'failed', errorCode: error instanceof AipassError ? error.code : 'INTERNAL' });
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
