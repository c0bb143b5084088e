/**
 * The use of one key for one call: leased before it, settled with the outcome after it.
 */

import type { Secret } from '../base/secret.ts';

/** Is how a call ended, for the key that paid. Header names are lower-case. */
export type LeaseOutcome =
  /** The provider answered in full. */
  | {
      readonly kind: 'succeeded';
      readonly headers?: Readonly<Record<string, string>>;
      readonly tokens?: number;
      readonly costUsd?: number;
      /** Is how long the call took, where that is not the time from lease to settle. */
      readonly latencyMs?: number;
    }
  /** The provider answered with a status of 400 or more, or with an error inside a 200; `body` is its parsed error document. */
  | {
      readonly kind: 'refused';
      readonly status: number;
      readonly headers: Readonly<Record<string, string>>;
      readonly body: unknown;
    }
  /** No usable answer: the network, a time limit, or an answer that is none. */
  | { readonly kind: 'unavailable'; readonly reason: 'network' | 'timeout' | 'garbage' }
  /** Nobody was asked, because the key holds a character that no header can carry. */
  | { readonly kind: 'unsendable' }
  /** The caller ended it; nothing is known of the key. */
  | { readonly kind: 'cancelled' };

/** Is the right to use one key for one call. */
export interface KeyLease {
  readonly provider: string;
  /** Is the key's id, or null where the provider needs no key and there is none. */
  readonly keyId: string | null;
  readonly value: Secret | null;
  /** Gives the key back with the outcome. A second call does nothing. */
  settle(outcome: LeaseOutcome): void;
}

/** Says what a key is wanted for. */
export interface LeaseRequest {
  readonly provider: string;
  readonly model?: string | undefined;
  /** Holds the keys, by their ids, that were tried for this call already; who waits takes any again. */
  readonly exclude?: ReadonlySet<string> | undefined;
}

/** Says how long a caller waits for a key. */
export interface LeaseWait {
  /** Is the longest wait, in milliseconds; without it the provider's setting, whose default is not to wait. */
  readonly maxWaitMs?: number | undefined;
  /** Is how much of that time is over already, in milliseconds. */
  readonly spentMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Hands out keys. */
export interface KeySource {
  /**
   * Returns a key of the provider to use for one call.
   *
   * @throws AipassError NOT_FOUND where there is no key at all, POOL_EXHAUSTED where none is free, PROVIDER_UNAVAILABLE
   * while the provider is left alone after failing several times in a row.
   */
  lease(request: LeaseRequest): KeyLease;

  /**
   * Returns a key as `lease` does, waiting for one if the caller has the time; absent where there is nothing to wait for.
   * Rejects as `lease` throws, and with CANCELLED when the signal aborts.
   */
  acquire?(request: LeaseRequest, wait?: LeaseWait): Promise<KeyLease>;
}
