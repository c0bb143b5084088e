/**
 * Errors of the socket endpoint: unreadable frames, exceeded limits of a user, answers that cannot
 * be sent.
 */

import { AipassError } from '../base/errors.ts';
import type { RequestAdmission } from '../callers/user-limits.ts';
import type { Logger } from '../base/logger.ts';
import { FrameError } from '../protocol/frames.ts';
import { MAX_ANSWER_BYTES } from '../protocol/messages.ts';

/**
 * Returns the error for a message that could not be read or a rejected connection; logs an
 * unexpected one.
 */
export function describeReadFailure(error: unknown, logger: Logger): AipassError {
  if (error instanceof AipassError) return error;
  if (error instanceof FrameError) return badFrame(error);
  logger.error('reading from a connection failed', { error });
  return new AipassError('INTERNAL', 'the daemon failed to read this message', { hint: 'the log has more' });
}

function badFrame({ message, isTooLong }: FrameError): AipassError {
  return new AipassError('BAD_REQUEST', message, {
    hint: isTooLong
      ? 'shorten it, or raise limits.frameBytes'
      : 'send node-ipc frames: {"type":…,"data":…} and a form feed',
  });
}

/**
 * Returns the error for an answer over the clients' limit. It fails its own request; the connection
 * stays open.
 */
export function answerTooLong(): AipassError {
  return new AipassError('BAD_REQUEST', `the answer is longer than the limit of ${MAX_ANSWER_BYTES} bytes`, {
    hint: 'ask for less at once; for a completion, set max_tokens',
  });
}

/** Returns the error for an answer that could not be sent: nested too deep, or not JSON. */
export function unsendableAnswer(error: unknown): AipassError {
  if (error instanceof AipassError) return error;
  return new AipassError('INTERNAL', 'the result cannot be printed as JSON', {
    hint: 'this is a bug: please report it',
  });
}

/** Problem and hint for each limit of a user. */
const OVER_LIMIT = {
  inFlight: {
    problem: 'this user has too many requests in flight',
    hint: 'wait for replies before sending more, or raise limits.perUser.inFlight',
  },
  requestsPerSecond: {
    problem: 'this user sends too many requests per second',
    hint: 'send fewer, or raise limits.requestsPerSecond',
  },
  waitingBytes: {
    problem: "this user's requests in flight are too large together",
    hint: 'wait for replies before sending more, or raise limits.perUser.waitingBytes',
  },
} as const;

/** Returns the error for a request over one of its user's limits. */
export function overUserLimit({ limit, retryAfterMs }: Extract<RequestAdmission, { kind: 'refused' }>): AipassError {
  const { problem, hint } = OVER_LIMIT[limit];
  return new AipassError('BAD_REQUEST', problem, { hint, retryAfterMs });
}

/** Returns the error for a socket that makes its user exceed the limit of waiting bytes. */
export function tooMuchWaiting(): AipassError {
  return new AipassError('BAD_REQUEST', 'too many bytes wait for this user', {
    hint: 'read replies and finish frames before sending more, or raise limits.perUser.waitingBytes',
  });
}
