/**
 * How the door words what it refuses for the sake of a user's limits.
 */

import { AipassError } from '../base/errors.ts';
import type { RequestAdmission } from '../callers/user-limits.ts';

/** Returns the error for a request over one of its user's limits. */
export function overUserLimit(refused: Extract<RequestAdmission, { kind: 'refused' }>): AipassError {
  const { limit, retryAfterMs } = refused;
  return limit === 'inFlight'
    ? new AipassError('BAD_REQUEST', 'this user has too many requests in flight', {
        hint: 'wait for replies before sending more, or raise limits.perUser.inFlight',
        retryAfterMs,
      })
    : new AipassError('BAD_REQUEST', 'this user asks too often', {
        hint: 'ask less often, or raise limits.requestsPerSecond',
        retryAfterMs,
      });
}

/** Returns the error for a line that makes too much wait for its user. */
export function tooMuchWaiting(): AipassError {
  return new AipassError('BAD_REQUEST', 'too many bytes wait for this user', {
    hint: 'read replies and finish frames before sending more, or raise limits.perUser.waitingBytes',
  });
}
