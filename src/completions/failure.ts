/**
 * How an attempt can fail, and what that means. That is the error for the caller, the settlement of
 * the key, and the classification that decides what is tried next. Pure.
 */

import { AipassError } from '../base/errors.ts';
import type { LeaseOutcome } from '../pools/lease.ts';
import { classifyFailure, statusInside, type FailureClass } from '../providers/classify-failure.ts';
import { readError } from '../providers/error-reason.ts';
import type { ExchangeFailure } from '../providers/http-exchange.ts';
import { describeFailedExchange, describeGarbage, describeRefusal, type RefusalContext } from '../providers/refusal.ts';

/**
 * A failure of an attempt. Bodies and errors are the provider's own, unredacted: only this file may
 * word them.
 */
export type AttemptFailure =
  /** The answer was a refusal by its status. */
  | {
      readonly kind: 'refusal';
      readonly status: number;
      readonly headers: Readonly<Record<string, string>>;
      readonly body: unknown;
    }
  /** The answer began as a success and held an error. */
  | { readonly kind: 'error-inside'; readonly error: unknown; readonly headers: Readonly<Record<string, string>> }
  /** There was no whole answer. */
  | { readonly kind: 'exchange'; readonly failure: ExchangeFailure }
  /** The answer made no sense; `what` is our own words for it. */
  | { readonly kind: 'garbage'; readonly what: string }
  /** The caller ended it, or its receiver failed. */
  | { readonly kind: 'cancelled'; readonly reason: unknown };

/**
 * An answer that makes no sense; the message completes "answered with" and quotes nothing of it.
 */
export class GarbageAnswer extends Error {
  override readonly name = 'GarbageAnswer';
}

/** An error that stood inside an answer with a good status. */
export class ErrorInAnswer extends Error {
  override readonly name = 'ErrorInAnswer';
  /** Value of the field `error`. */
  readonly error: unknown;

  constructor(error: unknown) {
    super('the answer holds an error');
    this.error = error;
  }
}

/** A failure of the caller's own receiver, which is nobody else's fault. */
export class ReceiverFailure extends Error {
  override readonly name = 'ReceiverFailure';
}

/** What a failure means. */
export interface JudgedFailure {
  readonly error: AipassError;
  readonly settlement: LeaseOutcome;
  readonly failure: FailureClass;
}

/**
 * Judges a failure. The message never holds more of the provider's text than refusal.ts lets
 * through.
 */
export function judgeFailure(
  failure: AttemptFailure,
  context: RefusalContext,
  /** False where a refusal may concern the path that its caller chose. */
  isModelPath = true,
): JudgedFailure {
  const { provider, now } = context;
  switch (failure.kind) {
    case 'refusal':
    case 'error-inside': {
      const refusal = failure.kind === 'refusal' ? failure : readErrorInside(failure);
      const { status, headers, body } = refusal;
      const meaning = classifyFailure(provider, { status, headers, body }, now);
      return {
        error: describeRefusal(refusal, context, meaning),
        ...settled(isModelPath ? meaning : aboutThePath(meaning), headers),
      };
    }
    case 'exchange':
      return {
        error: describeFailedExchange(failure.failure, provider),
        ...settled(classifyFailure(provider, { transport: failure.failure.kind }, now)),
      };
    case 'garbage':
      return {
        error: describeGarbage(failure.what, provider),
        ...settled(classifyFailure(provider, { transport: 'garbage' }, now)),
      };
    case 'cancelled':
      break;
  }
  return {
    error: cancellation(failure.reason, provider),
    ...settled(classifyFailure(provider, { transport: 'aborted' }, now)),
  };
}

/**
 * Returns what a refusal of another path than those of models means: no key is blamed, unless a
 * check finds it invalid.
 */
function aboutThePath(meaning: FailureClass): FailureClass {
  const { blame, reason } = meaning;
  if (blame === 'request' || blame === 'provider') return meaning;
  const isKeyInQuestion = reason === 'invalid-key' || reason === 'account-blocked' || reason === 'no-credit';
  return { ...meaning, blame: 'request', check: isKeyInQuestion ? 'now' : 'never' };
}

function readErrorInside({ error, headers }: Extract<AttemptFailure, { kind: 'error-inside' }>): {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
} {
  const body = { error };
  return { status: statusInside(readError(body)), headers, body };
}

/** Returns the settlement of a class. What the caller ended does not count for the key. */
function settled(
  failure: FailureClass,
  headers: Readonly<Record<string, string>> = {},
): Pick<JudgedFailure, 'failure' | 'settlement'> {
  const isCancelled = failure.reason === 'cancelled';
  return { failure, settlement: isCancelled ? { kind: 'cancelled' } : { kind: 'failed', failure, headers } };
}

function cancellation(reason: unknown, provider: string): AipassError {
  if (reason instanceof AipassError) return reason;
  return new AipassError('CANCELLED', `the request to ${provider} was ended by its caller`, { cause: reason });
}
