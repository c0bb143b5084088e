/**
 * How one attempt at a completion ended. Expected ends are values, so that whoever tries several keys can decide between
 * them without catching anything.
 */

import type { AipassError } from '../base/errors.ts';
import type { LeaseOutcome } from '../pools/lease.ts';
import type { CompletionResult, CompletionUsage } from '../protocol/completion.ts';

/** Is the end of one attempt. `settlement` is what the lease is to be settled with. */
export type CompletionOutcome = (
  | { readonly kind: 'succeeded'; readonly result: CompletionResult; readonly settlement: LeaseOutcome }
  | FailedCompletion
) & { readonly trace: AttemptTrace };

/** Is what was seen of an attempt, however it ended: of one that broke off, what had come by then. Null is unknown. */
export interface AttemptTrace {
  readonly latencyMs: number;
  /** Is the time to the first delta of a streamed answer. */
  readonly firstTokenMs: number | null;
  readonly httpStatus: number | null;
  readonly generationId: string | null;
  readonly model: string | null;
  readonly usage: CompletionUsage | null;
}

/** Is the end of an attempt without a result. */
export interface FailedCompletion {
  /** Is `refused` where a repetition is useless, `unavailable` where it is not. */
  readonly kind: 'refused' | 'unavailable' | 'timed-out' | 'cancelled';
  readonly error: AipassError;
  readonly settlement: LeaseOutcome;
  /** Tells whether the caller was given any part of the answer: then a second attempt would repeat it. */
  readonly begun: boolean;
}
