/**
 * The state of one key of a pool: its settings, its own cooldown or quarantine, its counters, and
 * its limits as the provider reported them. What it shares with others belongs to its billing
 * account.
 */

import { BoundedMap } from '../base/bounded-map.ts';
import type { Secret } from '../base/secret.ts';
import type { LimitWindow } from '../protocol/pool.ts';
import type { BillingAccount } from './billing-account.ts';
import { CircuitBreaker, type SavedBreaker } from './circuit-breaker.ts';
import type { QuotaSetting } from './quota.ts';
import type { Ranked } from './strategy.ts';

/** Settings of a key in the configuration. */
export interface KeySettings {
  /** Name of its billing account. */
  readonly account?: string | undefined;
  readonly weight?: number | undefined;
  readonly priority?: number | undefined;
  readonly models?: readonly string[] | undefined;
  readonly maxInFlight?: number | undefined;
  readonly quotas?: readonly QuotaSetting[] | undefined;
}

/** A key as the vault holds it. */
export interface KeyEntry {
  readonly keyId: string;
  readonly value: Secret;
  /**
   * Text that changes whenever the key's file does; a quarantine ends with it. Holds nothing of the
   * value.
   */
  readonly revision: string;
  readonly settings?: KeySettings | undefined;
  /** True where no free check can end its quarantine. */
  readonly uncheckable?: boolean | undefined;
  /**
   * Provider that its shape belongs to, where that is another one: the key is listed, and never
   * used.
   */
  readonly foreign?: string | undefined;
  /** True for a key whose credential is switched off: it is listed, and never used. */
  readonly isOff?: boolean | undefined;
  /** Base URL that the key is sent to instead of its provider's own. */
  readonly baseUrl?: string | null | undefined;
}

/** Quarantine of a key: it is not used until its file changes or a check passes. */
export interface Quarantine {
  readonly since: number;
  /** Status with which the provider refused it; 0 where it cannot be sent at all. */
  readonly status: number;
  readonly revision: string;
}

/** Saved form of a key. */
export interface SavedKey {
  readonly uses: number;
  readonly day: number;
  readonly dayUses: number;
  readonly lastUsedAt: number | null;
  readonly breaker?: SavedBreaker | undefined;
  readonly quarantine?: Quarantine | undefined;
}

/** Billing account of keys. */
export type KeyAccount = BillingAccount<PoolKey>;

/** Share of a new latency in the average. */
const LATENCY_SHARE = 0.2;

/**
 * Time for which a key that was refused for an unknown reason is used last for that model, in
 * milliseconds.
 */
const DEMOTION_MS = 300_000;

/** Number of models for which a key may be demoted; callers choose their names. */
const MAX_DEMOTIONS = 64;

/** Shortest time between two free checks of a key that refusals ask for, in milliseconds. */
const CHECK_INTERVAL_MS = 60_000;

const DAY_MS = 86_400_000;

/** One key. Its fields change only through the pool that owns it. */
export class PoolKey implements Ranked {
  readonly keyId: string;
  readonly settings: KeySettings;
  readonly weight: number;
  readonly priority: number;
  /** Models it may serve, or null for all. */
  readonly models: ReadonlySet<string> | null;
  readonly breaker = new CircuitBreaker();
  readonly windows = new Map<string, LimitWindow>();
  readonly account: KeyAccount;
  readonly value: Secret;
  /** Base URL that it is sent to instead of its provider's own, or null. */
  readonly baseUrl: string | null;
  revision: string;
  uncheckable: boolean;
  quarantine: Quarantine | null = null;
  /** True once it left the pool, maybe while it was leased. */
  isRemoved = false;
  /**
   * True where a call for some model may start now. The pool updates it after each change, so that
   * a scan reads no more than the key.
   */
  isFree = false;
  /** True where it is demoted for some model. */
  hasDemotions = false;
  inFlight = 0;
  day = 0;
  dayUses = 0;
  uses = 0;
  lastLease = 0;
  turn = 0;
  lastUsedAt: number | null = null;
  latencyMs: number | null = null;
  /** Ends of its demotions, by model. */
  readonly #demotions = new BoundedMap<string, number>(MAX_DEMOTIONS);
  #checkedAt = Number.NEGATIVE_INFINITY;

  constructor(entry: KeyEntry, account: KeyAccount) {
    this.keyId = entry.keyId;
    this.settings = entry.settings ?? {};
    this.weight = this.settings.weight ?? 1;
    this.priority = this.settings.priority ?? 0;
    this.models = this.settings.models ? new Set(this.settings.models) : null;
    this.account = account;
    this.value = entry.value;
    this.baseUrl = entry.baseUrl ?? null;
    this.revision = entry.revision;
    this.uncheckable = entry.uncheckable === true;
  }

  /** True where its calls in flight are at their cap. */
  get isBusy(): boolean {
    return this.inFlight >= (this.settings.maxInFlight ?? Number.POSITIVE_INFINITY);
  }

  /** Returns whether a call for some model may start now. */
  canStart(): boolean {
    return !this.isRemoved && this.quarantine === null && this.breaker.isFree && this.account.isFree && !this.isBusy;
  }

  /**
   * Returns whether it may be used for a model at all; without a model, only a key for all models
   * may.
   */
  allows(model: string | undefined): boolean {
    return this.models === null || (model !== undefined && this.models.has(model));
  }

  /** Counts a lease. */
  count(lease: number, now: number): void {
    this.inFlight += 1;
    this.uses += 1;
    this.lastLease = lease;
    this.lastUsedAt = now;
    // A clock that was set back does not begin a day anew.
    const day = Math.max(this.day, Math.floor(now / DAY_MS));
    this.dayUses = day === this.day ? this.dayUses + 1 : 1;
    this.day = day;
  }

  /** Returns the uses of the current UTC day. */
  usesToday(now: number): number {
    return this.day >= Math.floor(now / DAY_MS) ? this.dayUses : 0;
  }

  /** Demotes the key for a model: other keys come first for a while. */
  demote(model: string | undefined, now: number): void {
    this.#demotions.set((model ?? '').slice(0, 256), now + DEMOTION_MS);
    this.hasDemotions = true;
  }

  /** Ends the demotion for a model. */
  promote(model: string | undefined): void {
    if (!this.hasDemotions) return;
    this.#demotions.delete((model ?? '').slice(0, 256));
    this.hasDemotions = this.#demotions.size > 0;
  }

  /** Returns whether other keys come first for a model. */
  isDemoted(model: string | undefined, now: number): boolean {
    return this.hasDemotions && (this.#demotions.get((model ?? '').slice(0, 256)) ?? 0) > now;
  }

  /** Returns whether a free check may be asked for, which counts as asking; `now` is monotonic. */
  mayCheck(now: number): boolean {
    if (this.uncheckable || now - this.#checkedAt < CHECK_INTERVAL_MS) return false;
    this.#checkedAt = now;
    return true;
  }

  /**
   * Moves its cooldown in time after the wall clock was set back; its day becomes the one that it
   * is now.
   */
  shift(ms: number, now: number): void {
    this.breaker.shift(ms);
    // Else those that were used in the day that has not come would be served last until it has.
    this.day = Math.min(this.day, Math.floor(now / DAY_MS));
  }

  /** Counts a settled lease. */
  giveBack(): void {
    this.inFlight = Math.max(0, this.inFlight - 1);
  }

  /** Adds the latency of a call to the average. */
  noteLatency(latencyMs: number): void {
    if (!(latencyMs >= 0) || !Number.isFinite(latencyMs)) return;
    this.latencyMs =
      this.latencyMs === null ? latencyMs : this.latencyMs + LATENCY_SHARE * (latencyMs - this.latencyMs);
  }

  save(): SavedKey {
    const breaker = this.breaker.save();
    return {
      uses: this.uses,
      day: this.day,
      dayUses: this.dayUses,
      lastUsedAt: this.lastUsedAt,
      ...(breaker ? { breaker } : {}),
      ...(this.quarantine ? { quarantine: this.quarantine } : {}),
    };
  }

  /**
   * Restores the saved form. A quarantine is restored only if the file is still the same, else the
   * next call is a probe.
   */
  restore(saved: SavedKey, now: number, maxCooldownMs: number): void {
    this.uses = saved.uses;
    this.day = Math.min(saved.day, Math.floor(now / DAY_MS));
    this.dayUses = saved.dayUses;
    this.lastUsedAt = saved.lastUsedAt;
    if (saved.breaker) this.breaker.restore(saved.breaker, now, maxCooldownMs);
    if (saved.quarantine?.revision === this.revision) this.quarantine = saved.quarantine;
    else if (saved.quarantine) this.breaker.halfOpen();
  }
}
