/**
 * The use of one key for one call: leased before it, settled with the outcome after it.
 */

import type { Secret } from '../base/secret.ts';
import type { FailureClass } from '../providers/classify-failure.ts';

/**
 * Outcome of a call, for the key that paid. Header names are lower-case; headers hold the
 * provider's limits.
 */
export type LeaseOutcome =
  /** The provider answered in full. */
  | {
      readonly kind: 'succeeded';
      readonly headers?: Readonly<Record<string, string>>;
      readonly tokens?: number | undefined;
      readonly costUsd?: number | undefined;
      /** Latency of the call, where that is not the time from lease to settle. */
      readonly latencyMs?: number | undefined;
    }
  /** It failed, as it was classified where it was seen. */
  | {
      readonly kind: 'failed';
      readonly failure: FailureClass;
      readonly headers?: Readonly<Record<string, string>>;
    }
  /** The caller ended it; nothing is known of the key. */
  | { readonly kind: 'cancelled' };

/** Right to use one key for one call. */
export interface KeyLease {
  readonly provider: string;
  /** Id of the key, or null where the provider needs no key and there is none. */
  readonly keyId: string | null;
  readonly value: Secret | null;
  /** Base URL that the key is for, instead of the provider's own; absent or null for that. */
  readonly baseUrl?: string | null;
  /** Gives the key back with the outcome. A second call does nothing. */
  settle(outcome: LeaseOutcome): void;
}

export interface LeaseRequest {
  readonly provider: string;
  readonly model?: string | undefined;
  /**
   * Further models that the provider may answer with: the key has to be allowed for each of them.
   */
  readonly models?: readonly string[] | undefined;
  /**
   * Ids of the keys that were tried for this call already; a request that waits takes any key
   * again.
   */
  readonly exclude?: ReadonlySet<string> | undefined;
  /**
   * User that asks, as the kernel identifies it (the uid). Failures that one user alone meets do
   * not keep others away, and waiting users take turns.
   */
  readonly caller?: string | undefined;
  /** Name that the program gave itself: other programs of the same user try for themselves, too. */
  readonly program?: string | undefined;
  /**
   * Identity of the request that this lease is an attempt of; its failures count once for the
   * circuit breaker.
   */
  readonly call?: object | undefined;
}

/** Returns the part of a request that identifies who asks. */
export function askedBy(
  uid: number | null | undefined,
  program: string | null | undefined,
): Pick<LeaseRequest, 'caller' | 'program'> {
  return { caller: uid === null || uid === undefined ? undefined : String(uid), program: program ?? undefined };
}

export interface LeaseWait {
  /**
   * Longest wait, in milliseconds; without it the provider's setting, whose default is not to wait.
   */
  readonly maxWaitMs?: number | undefined;
  /** Part of that time that is over already, in milliseconds. */
  readonly spentMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}
