/**
 * Failures of an attempt and their effects. These are the error for the caller, the settlement of
 * the key, and the class that decides what is tried next. Pure.
 */

import type { AipassError } from '../base/errors.ts';
import type { LeaseOutcome } from '../pools/lease.ts';
import { classifyFailure, type FailureClass, type Refusal } from '../providers/classify-failure.ts';
import { ExchangeFailure } from '../providers/http-exchange.ts';
import { describeFailedExchange, describeRefusal, type RefusalContext } from '../providers/refusal.ts';

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

export interface FailureEffects {
  readonly error: AipassError;
  readonly settlement: LeaseOutcome;
  readonly failure: FailureClass;
}

/**
 * Returns what follows from a failure: a refusal, or why there is no whole answer. Both hold the
 * provider's own words; the error has no more of them than refusal.ts lets through.
 */
export function effectsOf(
  seen: Refusal | ExchangeFailure,
  { now, isOwnPath, ...context }: RefusalContext & { readonly now: number; readonly isOwnPath?: boolean | undefined },
): FailureEffects {
  const { provider } = context;
  if (seen instanceof ExchangeFailure) {
    const failure = classifyFailure(provider, { transport: seen.kind }, now);
    // What the caller ended does not count for the key.
    const settlement: LeaseOutcome =
      failure.reason === 'cancelled' ? { kind: 'cancelled' } : { kind: 'failed', failure };
    return { error: describeFailedExchange(seen, provider), settlement, failure };
  }
  const failure = classifyFailure(provider, { ...seen, isOwnPath }, now);
  const settlement: LeaseOutcome = { kind: 'failed', failure, headers: seen.headers };
  return { error: describeRefusal(seen, context, failure), settlement, failure };
}
