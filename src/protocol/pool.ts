/**
 * Pools on the wire: their keys, why a key cools down, and how much of its limits is left.
 * Times are epoch milliseconds. Keys are always masked here.
 */

import type { KeyVerdict } from './provider.ts';

/** Strategy for choosing the next key. */
export type PoolStrategy = 'least-used' | 'round-robin' | 'random' | 'weighted' | 'priority';

/**
 * Scope of a cooldown: a model for one billing account, a key, a billing account, or the provider
 * as a whole or for one model. `key-model` and `key` also stand for the account of a key that
 * shares its limits with no other.
 */
export type CooldownScope = (typeof COOLDOWN_SCOPES)[number];

export const COOLDOWN_SCOPES = ['key-model', 'key', 'billing-account', 'provider', 'provider-model'] as const;

/** Limits that a provider reports. */
export const LIMIT_REASONS = [
  'rate-limit',
  'daily-limit',
  'no-credit',
  'busy-budget',
  'no-access',
  'billing-account-blocked',
] as const;

/** Why it cools down. */
export type CooldownReason = (typeof COOLDOWN_REASONS)[number];

export const COOLDOWN_REASONS = [...LIMIT_REASONS, 'quota', 'failing'] as const;

/**
 * Who set how long a cooldown lasts: a header, the error body, our own count of a quota, or nobody.
 */
export type CooldownSource = (typeof COOLDOWN_SOURCES)[number];

export const COOLDOWN_SOURCES = ['header', 'body', 'quota', 'default'] as const;

/** One cooldown. It always ends, and a single call is the probe after it. */
export interface CooldownInfo {
  readonly scope: CooldownScope;
  readonly reason: CooldownReason;
  readonly source: CooldownSource;
  readonly since: number;
  readonly until: number;
  /** Latest end that the rules allowed; `until` is never later. */
  readonly bound: number;
  /** Model that cools down, for the scopes `key-model` and `provider-model`. */
  readonly model?: string;
}

/** Unit of a limit; `usage` is a share of an allowance that is reported in per cent only. */
export type LimitUnit = 'requests' | 'tokens' | 'input-tokens' | 'output-tokens' | 'usage';

/** Length of a limit's window. */
export type LimitPeriod = 'second' | 'minute' | 'hour' | 'day' | 'month';

/** One limit as the provider's own headers reported it; what they left out is null. */
export interface LimitWindow {
  /** Name among the limits of its provider (`requests`, `project-tokens`, `requests-day`). */
  readonly name: string;
  readonly unit: LimitUnit;
  readonly per: LimitPeriod | null;
  readonly limit: number | null;
  readonly remaining: number | null;
  readonly used: number | null;
  /** Used share, 0 to 100. */
  readonly percent: number | null;
  readonly resetAt: number | null;
  /** Time at which the header was seen. */
  readonly seenAt: number;
}

/** A configured quota, and what was counted of it in its current window. */
export interface QuotaInfo {
  readonly unit: 'calls' | 'tokens' | 'dollars';
  readonly per: 'minute' | 'hour' | 'day' | 'month';
  readonly zone: string;
  readonly limit: number;
  readonly used: number;
  readonly resetAt: number;
}

/**
 * State of a key: `half-open` serves one call, whose success makes it `ready`; `busy` is at its cap
 * of calls in flight; `quarantined` was refused by its provider; `foreign` has the shape of another
 * provider's keys and is never sent; `off` belongs to a credential that is switched off.
 */
export type PoolKeyState =
  'ready' | 'busy' | 'half-open' | 'cooling-down' | 'quarantined' | 'duplicate' | 'foreign' | 'off';

/** Description of one key of a pool. */
export interface PoolKeyInfo {
  /** Name of its variable in `.env`: stable, and not a secret. */
  readonly keyId: string;
  readonly masked: string;
  /** Billing account whose limits it shares, where the configuration names one. */
  readonly billingAccount: string | null;
  readonly state: PoolKeyState;
  /** Words for why it is not ready; null for a ready key. */
  readonly reason: string | null;
  readonly cooldowns: readonly CooldownInfo[];
  /** Time until it can serve again, in milliseconds, where that is known. */
  readonly cooldownLeftMs: number | null;
  readonly inFlight: number;
  /** Number of calls of the current UTC day. */
  readonly usesToday: number;
  readonly uses: number;
  readonly lastUsedAt: number | null;
  /** Moving average of the latency of its calls, or null before the first. */
  readonly latencyMs: number | null;
  readonly windows: readonly LimitWindow[];
  readonly quotas: readonly QuotaInfo[];
}

/** State of a circuit breaker: `half-open` lets one call through, which closes or opens it. */
export type BreakerState = 'closed' | 'open' | 'half-open';

/** Description of one pool. */
export interface PoolInfo {
  readonly provider: string;
  readonly strategy: PoolStrategy;
  /** Circuit breaker of the provider as a whole. */
  readonly breaker: BreakerState;
  /** Cooldown of the provider while its breaker is open, and of each model whose breaker is. */
  readonly cooldowns: readonly CooldownInfo[];
  readonly waiting: number;
  readonly keys: readonly PoolKeyInfo[];
}

/** Which key would serve next, and why each other one would not. */
export interface PoolExplanation {
  readonly provider: string;
  readonly model: string | null;
  readonly strategy: PoolStrategy;
  /** Key that would be leased now, or null where none is free. */
  readonly next: string | null;
  /** Time until the first key is free, in milliseconds, where none is and that is known. */
  readonly retryAfterMs: number | null;
  /** True where calls go without a key: the provider needs none, and has none. */
  readonly keyless: boolean;
  readonly keys: readonly { readonly keyId: string; readonly eligible: boolean; readonly why: string }[];
}

/** Event of a pool, as subscribers receive it. */
export type PoolEvent =
  | {
      readonly kind: 'key-cooling-down';
      readonly provider: string;
      /** Null where the provider itself cools down. */
      readonly keyId: string | null;
      readonly cooldown: CooldownInfo;
    }
  | { readonly kind: 'key-restored'; readonly provider: string; readonly keyId: string | null }
  | { readonly kind: 'key-quarantined'; readonly provider: string; readonly keyId: string; readonly reason: string }
  | {
      readonly kind: 'pool-exhausted';
      readonly provider: string;
      readonly model: string | null;
      readonly retryAfterMs: number | null;
    };

/** Parameters of `pool.lease`: a key for one call. */
export interface PoolLeaseParams {
  readonly provider?: string | undefined;
  readonly model?: string | undefined;
  /** Keys that were tried for this call already. */
  readonly exclude?: readonly string[] | undefined;
  /** Time to wait where no key is free, in milliseconds; by default the provider's setting. */
  readonly maxWaitMs?: number | undefined;
}

/** A key leased for one call. */
export interface PoolLease {
  readonly leaseId: string;
  readonly provider: string;
  readonly keyId: string;
  readonly key: string;
}

/**
 * Outcome of a call: `limited` cools the key down, `rejected` takes it out, `unavailable` blames
 * the provider, `failed` nobody.
 */
export type ReportedOutcome = 'succeeded' | 'limited' | 'rejected' | 'unavailable' | 'failed';

/** Outcome of a call with a leased key; what is known of the answer makes a cooldown exact. */
export interface PoolSettleParams {
  readonly leaseId: string;
  readonly outcome: ReportedOutcome;
  /** HTTP status of the answer. */
  readonly status?: number | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Parsed error document. */
  readonly body?: unknown;
  readonly retryAfterMs?: number | undefined;
  readonly latencyMs?: number | undefined;
  readonly tokens?: number | undefined;
  readonly costUsd?: number | undefined;
}

/** One chunk of `pool.check`: how many keys are done of how many, and the verdict on the newest. */
export interface PoolCheckProgress {
  readonly done: number;
  readonly total: number;
  readonly key: KeyVerdict;
}
