/**
 * How an attempt can fail: the kinds, and the exceptions that carry them from where they are found to where they are
 * judged.
 */

import type { ExchangeFailure } from '../providers/http-exchange.ts';

/** Is a failure of an attempt. Bodies and errors are the provider's own, unredacted: only judge.ts may word them. */
export type AttemptFailure =
  /** The answer was a refusal by its status, which is 300 or more. */
  | {
      readonly kind: 'refusal';
      readonly status: number;
      readonly headers: Readonly<Record<string, string>>;
      readonly body: unknown;
    }
  /** The answer began as a success and held an error. */
  | {
      readonly kind: 'error-inside';
      readonly error: unknown;
      readonly headers: Readonly<Record<string, string>>;
    }
  /** There was no whole answer. */
  | { readonly kind: 'exchange'; readonly failure: ExchangeFailure }
  /** The answer made no sense; `what` is our own words for it. */
  | { readonly kind: 'garbage'; readonly what: string }
  /** The caller ended it, or its receiver of deltas failed. */
  | { readonly kind: 'cancelled'; readonly reason: unknown };

/** Carries an answer that makes no sense; the message completes "answered with" and quotes nothing of it. */
export class GarbageAnswer extends Error {
  override readonly name = 'GarbageAnswer';
}

/** Carries an error that stood inside an answer with status 200. */
export class ErrorInAnswer extends Error {
  override readonly name = 'ErrorInAnswer';
  /** Is what stood under `error`. */
  readonly error: unknown;

  constructor(error: unknown) {
    super('the answer holds an error');
    this.error = error;
  }
}

/** Carries a failure of the caller's own receiver of deltas, which is nobody else's fault. */
export class ReceiverFailure extends Error {
  override readonly name = 'ReceiverFailure';
}
