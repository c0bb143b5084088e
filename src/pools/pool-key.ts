/**
 * One key of a pool: its settings, its own rest or quarantine, its counters, and what the provider said of its limits.
 * What it shares with others is its account's (account.ts).
 */

import type { Secret } from '../base/secret.ts';
import type { LimitWindow } from '../protocol/pool.ts';
import type { Account } from './account.ts';
import { RestCycle, type SavedCycle } from './rest-cycle.ts';
import type { QuotaSetting } from './quota.ts';
import type { Ranked } from './strategy.ts';

/** Is what configuration says of a key. */
export interface KeySettings {
  readonly account?: string | undefined;
  readonly weight?: number | undefined;
  readonly priority?: number | undefined;
  readonly models?: readonly string[] | undefined;
  readonly maxInFlight?: number | undefined;
  readonly quotas?: readonly QuotaSetting[] | undefined;
}

/** Is a key as the vault holds it. */
export interface KeyEntry {
  readonly keyId: string;
  readonly value: Secret;
  /** Changes whenever the key's file does; a quarantine ends with it. Holds nothing of the value. */
  readonly revision: string;
  readonly settings?: KeySettings | undefined;
  /** Tells that nobody can be asked about it without a paid call, so that no check ends its quarantine. */
  readonly uncheckable?: boolean | undefined;
}

/** Is why a key is not used until its file changes or a check passes. */
export interface Quarantine {
  readonly since: number;
  /** Is the status that the provider refused it with. */
  readonly status: number;
  readonly revision: string;
}

/** Is what a key looks like on disk. */
export interface SavedKey {
  readonly uses: number;
  readonly day: number;
  readonly dayUses: number;
  readonly lastUsedAt: number | null;
  readonly cycle?: SavedCycle | undefined;
  readonly quarantine?: Quarantine | undefined;
}

/** Is an account of keys. */
export type KeyAccount = Account<PoolKey>;

/** Is how much a new latency moves the average. */
const LATENCY_SHARE = 0.2;

const DAY_MS = 86_400_000;

/** Is one key. Its fields change only through the pool that owns it. */
export class PoolKey implements Ranked {
  readonly keyId: string;
  readonly slot: number;
  readonly settings: KeySettings;
  readonly weight: number;
  readonly priority: number;
  /** Is the models it may serve, or null for all. */
  readonly models: ReadonlySet<string> | null;
  readonly cycle = new RestCycle();
  readonly windows = new Map<string, LimitWindow>();
  account: KeyAccount;
  value: Secret;
  revision: string;
  uncheckable: boolean;
  quarantine: Quarantine | null = null;
  /** Tells that it left the pool, maybe while it was leased. */
  removed = false;
  /** Is what `serves` was when its place in the order was last looked at. */
  served = false;
  inFlight = 0;
  day = 0;
  dayUses = 0;
  uses = 0;
  lastLease = 0;
  turn = 0;
  lastUsedAt: number | null = null;
  latencyMs: number | null = null;

  constructor(entry: KeyEntry, slot: number, account: KeyAccount) {
    this.keyId = entry.keyId;
    this.slot = slot;
    this.settings = entry.settings ?? {};
    this.weight = this.settings.weight ?? 1;
    this.priority = this.settings.priority ?? 0;
    this.models = this.settings.models ? new Set(this.settings.models) : null;
    this.account = account;
    this.value = entry.value;
    this.revision = entry.revision;
    this.uncheckable = entry.uncheckable === true;
  }

  /** Tells whether its calls in flight are at their cap. */
  get isBusy(): boolean {
    return this.inFlight >= (this.settings.maxInFlight ?? Number.POSITIVE_INFINITY);
  }

  /** Tells whether a call for any model may start now. */
  get serves(): boolean {
    return !this.removed && this.quarantine === null && this.cycle.free && this.account.serves && !this.isBusy;
  }

  /** Tells whether a call for this model may start now; without a model, only a key for all models may serve. */
  servesModel(model: string | undefined): boolean {
    return this.serves && this.allows(model) && (model === undefined || this.account.models.get(model)?.free !== false);
  }

  /** Tells whether it may be used for a model at all. */
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

  /** Moves its rest in time after the wall clock was set back; its day becomes the one that it is now. */
  shift(ms: number, now: number): void {
    this.cycle.shift(ms);
    // Else those that were used in the day that has not come would be served last until it has.
    this.day = Math.min(this.day, Math.floor(now / DAY_MS));
  }

  /** Counts a settled lease. */
  giveBack(): void {
    this.inFlight = Math.max(0, this.inFlight - 1);
  }

  /** Notes how long a call took. */
  noteLatency(latencyMs: number): void {
    if (!(latencyMs >= 0) || !Number.isFinite(latencyMs)) return;
    this.latencyMs =
      this.latencyMs === null ? latencyMs : this.latencyMs + LATENCY_SHARE * (latencyMs - this.latencyMs);
  }

  save(): SavedKey {
    const cycle = this.cycle.save();
    return {
      uses: this.uses,
      day: this.day,
      dayUses: this.dayUses,
      lastUsedAt: this.lastUsedAt,
      ...(cycle ? { cycle } : {}),
      ...(this.quarantine ? { quarantine: this.quarantine } : {}),
    };
  }

  /** Takes up what was saved; a quarantine only if the file is the one it was put on for, else the next call is a probe. */
  restore(saved: SavedKey, now: number, maxRestMs: number): void {
    this.uses = saved.uses;
    this.day = Math.min(saved.day, Math.floor(now / DAY_MS));
    this.dayUses = saved.dayUses;
    this.lastUsedAt = saved.lastUsedAt;
    if (saved.cycle) this.cycle.restore(saved.cycle, now, maxRestMs);
    if (saved.quarantine?.revision === this.revision) this.quarantine = saved.quarantine;
    else if (saved.quarantine) this.cycle.putOnProbation();
  }
}
