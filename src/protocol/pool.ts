/**
 * What the daemon tells of a pool: its keys, why each of them rests, and how much of its limits is left.
 * Times are epoch milliseconds. Keys are always masked here.
 */

import type { KeyVerdict } from './provider.ts';

/** Names how the next key is chosen. */
export type PoolStrategy = 'least-used' | 'round-robin' | 'random' | 'weighted' | 'priority';

/** Names how far a failure reaches: no key is blamed for what only its request did wrong. */
export type RestScope = 'key-model' | 'key' | 'account' | 'provider';

/** Names why something rests. */
export type RestReason = 'rate-limit' | 'daily-limit' | 'no-credit' | 'busy-budget' | 'no-access' | 'quota' | 'failing';

/** Names who said how long: a header, the error body, our own count of a quota, or nobody. */
export type RestSource = 'header' | 'body' | 'quota' | 'default';

/** Is one rest: it always has an end, and is probed by a single call after it. */
export interface RestInfo {
  readonly scope: RestScope;
  readonly reason: RestReason;
  readonly source: RestSource;
  readonly since: number;
  readonly until: number;
  /** Is the latest end that the rules allowed; `until` is never later. */
  readonly bound: number;
  /** Is the model that rests, for the scope `key-model`. */
  readonly model?: string;
}

/** Names what a limit counts; `usage` is a share of an allowance that is told in per cent only. */
export type LimitUnit = 'requests' | 'tokens' | 'input-tokens' | 'output-tokens' | 'usage';

/** Names how long a limit's window is. */
export type LimitPeriod = 'second' | 'minute' | 'hour' | 'day' | 'month';

/** Is what a provider's own headers said of one limit; what it did not say is null. */
export interface LimitWindow {
  /** Is the limit's name among those of its provider (`requests`, `project-tokens`, `requests-day`). */
  readonly name: string;
  readonly unit: LimitUnit;
  readonly per: LimitPeriod | null;
  readonly limit: number | null;
  readonly remaining: number | null;
  readonly used: number | null;
  /** Is the used share, 0 to 100. */
  readonly percent: number | null;
  readonly resetAt: number | null;
  /** Is when the header was seen. */
  readonly seenAt: number;
}

/** Is a configured quota, and what we counted of it in its current window. */
export interface QuotaInfo {
  readonly unit: 'calls' | 'tokens' | 'dollars';
  readonly per: 'minute' | 'hour' | 'day' | 'month';
  readonly zone: string;
  readonly limit: number;
  readonly used: number;
  readonly resetAt: number;
}

/** Names how a key is: `half-open` serves one call, whose success makes it `ready`; `busy` has its cap of calls in flight. */
export type PoolKeyState = 'ready' | 'busy' | 'half-open' | 'resting' | 'quarantined' | 'duplicate';

/** Describes one key of a pool. */
export interface PoolKeyInfo {
  /** Is the name of its variable in `.env`: stable, and no secret. */
  readonly keyId: string;
  readonly masked: string;
  /** Is the account whose limits it shares, where configuration names one. */
  readonly account: string | null;
  readonly state: PoolKeyState;
  /** Says in words why it is not ready; null for a ready key. */
  readonly reason: string | null;
  readonly rests: readonly RestInfo[];
  /** Is how long until it can serve again, where that is known. */
  readonly restLeftMs: number | null;
  readonly inFlight: number;
  /** Counts the calls of the current UTC day. */
  readonly usesToday: number;
  readonly uses: number;
  readonly lastUsedAt: number | null;
  /** Is a moving average of how long its calls took, or null before the first. */
  readonly latencyMs: number | null;
  readonly windows: readonly LimitWindow[];
  readonly quotas: readonly QuotaInfo[];
}

/** Describes one pool. */
export interface PoolInfo {
  readonly provider: string;
  readonly strategy: PoolStrategy;
  /** Is the rest of the provider itself, while its breaker is open. */
  readonly rest: RestInfo | null;
  readonly waiting: number;
  readonly keys: readonly PoolKeyInfo[];
}

/** Says which key would serve next, and why each other one would not. */
export interface PoolExplanation {
  readonly provider: string;
  readonly model: string | null;
  readonly strategy: PoolStrategy;
  /** Is the key that would be leased now, or null where none is free. */
  readonly next: string | null;
  /** Is how long until the first key is free, where none is and that is known. */
  readonly retryAfterMs: number | null;
  /** Tells that calls go without a key: the provider needs none, and has none. */
  readonly keyless: boolean;
  readonly keys: readonly { readonly keyId: string; readonly eligible: boolean; readonly why: string }[];
}

/** Is what happens to the keys of a pool, as subscribers hear it. */
export type PoolEvent =
  | { readonly kind: 'key-resting'; readonly provider: string; readonly keyId: string | null; readonly rest: RestInfo }
  | { readonly kind: 'key-restored'; readonly provider: string; readonly keyId: string | null }
  | { readonly kind: 'key-quarantined'; readonly provider: string; readonly keyId: string; readonly reason: string }
  | {
      readonly kind: 'pool-exhausted';
      readonly provider: string;
      readonly model: string | null;
      readonly retryAfterMs: number | null;
    };

/** Asks for a key for one call. */
export interface PoolLeaseParams {
  readonly provider?: string | undefined;
  readonly model?: string | undefined;
  /** Names the keys that were tried for this call already. */
  readonly exclude?: readonly string[] | undefined;
  /** Is how long to wait where no key is free, in milliseconds; without it the provider's setting. */
  readonly maxWaitMs?: number | undefined;
}

/** Is a key lent for one call. */
export interface PoolLease {
  readonly leaseId: string;
  readonly provider: string;
  readonly keyId: string;
  readonly key: string;
}

/**
 * Names how a call ended: `limited` rests the key, `rejected` takes it out, `unavailable` blames the provider, `failed`
 * nobody.
 */
export type ReportedOutcome = 'succeeded' | 'limited' | 'rejected' | 'unavailable' | 'failed';

/** Tells how a call ended that was made with a lent key. What is known of the answer makes the rest exact. */
export interface PoolSettleParams {
  readonly leaseId: string;
  readonly outcome: ReportedOutcome;
  /** Is the HTTP status of the answer. */
  readonly status?: number | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Is the parsed error document. */
  readonly body?: unknown;
  readonly retryAfterMs?: number | undefined;
  readonly latencyMs?: number | undefined;
  readonly tokens?: number | undefined;
  readonly costUsd?: number | undefined;
}

/** Is one chunk of `pool.check`: how many keys are done of how many, and the verdict on the newest. */
export interface PoolCheckProgress {
  readonly done: number;
  readonly total: number;
  readonly key: KeyVerdict;
}
