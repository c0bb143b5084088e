/**
 * Judges a failed attempt: what the caller is told, and what the key is settled with. Pure.
 */

import { AipassError, type ErrorCode } from '../base/errors.ts';
import type { LeaseOutcome } from '../pools/lease.ts';
import { readError } from '../providers/error-reason.ts';
import type { ExchangeFailure } from '../providers/http-exchange.ts';
import {
  describeFailedExchange,
  describeGarbage,
  describeRefusal,
  type Refusal,
  type RefusalContext,
} from '../providers/refusal.ts';
import type { AttemptFailure } from './failure.ts';
import type { FailedCompletion } from './outcome.ts';

/** Is the verdict on a failed attempt. */
export type Verdict = Omit<FailedCompletion, 'begun'>;

/** Judges a failure. The message never holds more of the provider's text than refusal.ts lets through. */
export function judgeFailure(failure: AttemptFailure, context: RefusalContext): Verdict {
  const { provider } = context;
  switch (failure.kind) {
    case 'refusal':
      return judgeRefusal(failure, context);
    case 'error-inside':
      return judgeRefusal(readErrorInside(failure.error, failure.headers), context);
    case 'exchange':
      return verdict(describeFailedExchange(failure.failure, provider), settlementFor(failure.failure));
    case 'garbage':
      return verdict(describeGarbage(failure.what, provider), { kind: 'unavailable', reason: 'garbage' });
    case 'cancelled':
      break;
  }
  return verdict(cancellation(failure.reason, provider), { kind: 'cancelled' });
}

function judgeRefusal(refusal: Refusal, context: RefusalContext): Verdict {
  const error = describeRefusal(refusal, context);
  const { status, headers, body } = refusal;
  // A redirect says something of the address and nothing of the key.
  if (status >= 300 && status < 400) return verdict(error, { kind: 'unavailable', reason: 'garbage' });
  return verdict(error, { kind: 'refused', status, headers, body });
}

/**
 * Maps the codes and types that errors inside a 200 carry to the status they stand for: OpenAI's and Anthropic's lists of
 * error codes. OpenRouter writes the status itself as the code.
 */
const STATUS_OF_CODE: Readonly<Record<string, number>> = {
  invalid_request_error: 400,
  context_length_exceeded: 400,
  content_filter: 400,
  authentication_error: 401,
  invalid_api_key: 401,
  permission_error: 403,
  not_found_error: 404,
  model_not_found: 404,
  request_too_large: 413,
  rate_limit_error: 429,
  rate_limit_exceeded: 429,
  insufficient_quota: 429,
  api_error: 500,
  server_error: 500,
  internal_server_error: 500,
  overloaded_error: 529,
};

function readErrorInside(error: unknown, headers: Readonly<Record<string, string>>): Refusal {
  const body = { error };
  const { status, codes } = readError(body);
  const known = codes.find((code) => Object.hasOwn(STATUS_OF_CODE, code));
  return { status: status ?? (known === undefined ? undefined : STATUS_OF_CODE[known]) ?? 200, headers, body };
}

function settlementFor(failure: ExchangeFailure): LeaseOutcome {
  switch (failure.kind) {
    case 'timeout':
      return { kind: 'unavailable', reason: 'timeout' };
    case 'network':
    case 'unreachable':
      return { kind: 'unavailable', reason: 'network' };
    case 'aborted':
      return { kind: 'cancelled' };
    case 'unsendable-key':
      return { kind: 'unsendable' };
    case 'garbage':
    case 'unsendable':
      break;
  }
  return { kind: 'unavailable', reason: 'garbage' };
}

function cancellation(reason: unknown, provider: string): AipassError {
  if (reason instanceof AipassError) return reason;
  return new AipassError('CANCELLED', `the request to ${provider} was ended by its caller`, { cause: reason });
}

function verdict(error: AipassError, settlement: LeaseOutcome): Verdict {
  return { kind: settlement.kind === 'cancelled' ? 'cancelled' : kindOf(error.code), error, settlement };
}

function kindOf(code: ErrorCode): Verdict['kind'] {
  if (code === 'TIMED_OUT') return 'timed-out';
  return code === 'PROVIDER_UNAVAILABLE' ? 'unavailable' : 'refused';
}
