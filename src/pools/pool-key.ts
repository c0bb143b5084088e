/**
 * The state of the keys of a pool, pure. A key has its settings, its own cooldown or quarantine,
 * its counters, and its limits as the provider reported them. What it shares with others belongs
 * to its billing account: a cooldown, the cooldowns of models, and quotas. Quotas are counted
 * here, so that they are known before the provider refuses.
 */

import { BoundedMap } from '../base/bounded-map.ts';
import type { Secret } from '../base/secret.ts';
import { DAY_MS, windowAt, type CalendarPeriod, type TimeWindow } from '../base/time-window.ts';
import type { LimitWindow, QuotaInfo } from '../protocol/pool.ts';
import { MAX_COST_MICROS, MAX_TOKENS } from '../protocol/usage.ts';
import { CircuitBreaker } from './circuit-breaker.ts';
import type { SavedAccount, SavedBreaker, SavedKey, SavedQuota } from './pool-state.ts';
import type { Ranked } from './strategy.ts';

export interface KeySettings {
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
   * Text that changes whenever the key's file does; a quarantine ends with it. Holds nothing of
   * the value.
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
  readonly billingAccount: BillingAccount;
  readonly value: Secret;
  /** Base URL that it is sent to instead of its provider's own, or null. */
  readonly baseUrl: string | null;
  revision: string;
  uncheckable: boolean;
  /** While set it is not used: until its file changes or a check passes. */
  quarantine: NonNullable<SavedKey['quarantine']> | null = null;
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

  constructor(entry: KeyEntry, account: BillingAccount) {
    this.keyId = entry.keyId;
    this.settings = entry.settings ?? {};
    this.weight = this.settings.weight ?? 1;
    this.priority = this.settings.priority ?? 0;
    this.models = this.settings.models ? new Set(this.settings.models) : null;
    this.billingAccount = account;
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
    return (
      !this.isRemoved && this.quarantine === null && this.breaker.isFree && this.billingAccount.isFree && !this.isBusy
    );
  }

  /**
   * Returns whether it may be used for a model at all; without a model, only a key for all models
   * may.
   */
  allows(model: string | undefined): boolean {
    return this.models === null || (model !== undefined && this.models.has(model));
  }

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

  usesToday(now: number): number {
    return this.day >= Math.floor(now / DAY_MS) ? this.dayUses : 0;
  }

  /** Demotes the key for a model: other keys come first for a while. */
  demote(model: string | undefined, now: number): void {
    this.#demotions.set(modelKey(model), now + DEMOTION_MS);
    this.hasDemotions = true;
  }

  /** Ends the demotion for a model. */
  promote(model: string | undefined): void {
    if (!this.hasDemotions) return;
    this.#demotions.delete(modelKey(model));
    this.hasDemotions = this.#demotions.size > 0;
  }

  /** Returns whether other keys come first for a model. */
  isDemoted(model: string | undefined, now: number): boolean {
    return this.hasDemotions && (this.#demotions.get(modelKey(model)) ?? 0) > now;
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
  restore(saved: SavedKey, now: number): void {
    this.uses = saved.uses;
    this.day = Math.min(saved.day, Math.floor(now / DAY_MS));
    this.dayUses = saved.dayUses;
    this.lastUsedAt = saved.lastUsedAt;
    if (saved.breaker) this.breaker.restore(saved.breaker, now);
    if (saved.quarantine?.revision === this.revision) this.quarantine = saved.quarantine;
    else if (saved.quarantine) this.breaker.halfOpen();
  }
}

/** Number of models of one account that may cool down on their own; callers choose their names. */
const MAX_MODELS = 64;

/**
 * Longest name of a model that cools down on its own, or is quoted in an event, in characters:
 * callers choose the names.
 */
export const MAX_MODEL_NAME = 256;

/** Returns what identifies a model in a map: its name, cut; empty for a call without a model. */
export function modelKey(model: string | undefined): string {
  return (model ?? '').slice(0, MAX_MODEL_NAME);
}

/**
 * A billing account of a provider. By default each key has one of its own; keys that the
 * configuration puts into one account cool down together.
 */
export class BillingAccount {
  readonly id: string;
  /** Name in the configuration, or null for a key that shares its limits with no other. */
  readonly name: string | null;
  readonly keys = new Set<PoolKey>();
  readonly breaker = new CircuitBreaker();
  /** Breakers of its models; a closed one is not kept. */
  readonly models = new Map<string, CircuitBreaker>();
  /** Meters of the quotas in force. */
  #meters: QuotaMeter[] = [];
  /** Meters by name, also of quotas that left with their key: it may come back. */
  readonly #known = new Map<string, QuotaMeter>();
  /** True where a quota is used up, as of the last `meter`. */
  isSpent = false;

  constructor(id: string, name: string | null) {
    this.id = id;
    this.name = name;
  }

  /**
   * True where a call may start as far as the account is concerned; a model of it may still cool
   * down.
   */
  get isFree(): boolean {
    return !this.isSpent && this.breaker.isFree;
  }

  /** Earliest time at which a breaker of it is due. */
  get dueAt(): number {
    let { dueAt } = this.breaker;
    for (const breaker of this.models.values()) dueAt = Math.min(dueAt, breaker.dueAt);
    return dueAt;
  }

  /** Half-opens what is due. Returns whether anything changed. */
  wake(now: number): boolean {
    let changed = this.breaker.wake(now);
    for (const breaker of this.models.values()) changed = breaker.wake(now) || changed;
    return changed;
  }

  /**
   * Returns the breaker of a model, which is made if need be; undefined for a name that is not
   * worth remembering. Where there are too many, the one that is free the soonest is forgotten.
   */
  breakerOf(model: string): CircuitBreaker | undefined {
    const known = this.models.get(model);
    if (known || model.length > MAX_MODEL_NAME) return known;
    if (this.models.size >= MAX_MODELS) {
      const soonest = [...this.models].reduce((a, b) => (endOf(a[1]) <= endOf(b[1]) ? a : b));
      this.models.delete(soonest[0]);
    }
    const made = new CircuitBreaker();
    this.models.set(model, made);
    return made;
  }

  /** Sets the quotas to those of its keys; what was counted for the same window stays. */
  setQuotas(): void {
    this.#meters = mergeQuotas([...this.keys].flatMap((key) => key.settings.quotas ?? [])).map((setting) => {
      const meter = this.#known.get(quotaId(setting)) ?? new QuotaMeter(setting);
      meter.setting = setting;
      this.#known.set(meter.id, meter);
      return meter;
    });
  }

  /** Reads the quotas again. Returns whether that changed `isSpent`. */
  meter(now: number): boolean {
    if (this.#meters.length === 0 && !this.isSpent) return false;
    const was = this.isSpent;
    // Every meter is asked: asking moves its window.
    this.isSpent = this.#meters.filter((meter) => meter.isSpent(now)).length > 0;
    return was !== this.isSpent;
  }

  /** Returns when the last of the used-up quotas begins anew, or null where none is used up. */
  spentUntil(now: number): number | null {
    const ends = this.#meters.filter((meter) => meter.isSpent(now)).map((meter) => meter.end);
    return ends.length === 0 ? null : Math.max(...ends);
  }

  /** Counts a call in every quota; returns the windows for `giveBackCall`. */
  takeCall(now: number): readonly number[] {
    return this.#meters.map((meter) => meter.takeCall(now));
  }

  /** Takes back a counted call that the provider did not serve. */
  giveBackCall(windows: readonly number[], now: number): void {
    for (const [index, meter] of this.#meters.entries()) meter.giveBackCall(windows[index] ?? Number.NaN, now);
  }

  /** Counts what a call used. */
  add(tokens: number | undefined, dollars: number | undefined, now: number): void {
    for (const meter of this.#meters) meter.add(tokens, dollars, now);
  }

  describeQuotas(now: number): ReturnType<QuotaMeter['describe']> {
    return this.#meters.flatMap((meter) => meter.describe(now));
  }

  /** Moves every cooldown in time, after the wall clock was set back. */
  shift(ms: number): void {
    this.breaker.shift(ms);
    for (const breaker of this.models.values()) breaker.shift(ms);
  }

  save(): SavedAccount {
    const breaker = this.breaker.save();
    const models = [...this.models].flatMap(([model, each]): [string, SavedBreaker][] => {
      const saved = each.save();
      return saved ? [[model, saved]] : [];
    });
    return {
      ...(breaker ? { breaker } : {}),
      ...(models.length > 0 ? { models: Object.fromEntries(models) } : {}),
      ...(this.#known.size > 0
        ? { quotas: Object.fromEntries([...this.#known].map(([id, meter]) => [id, meter.save()])) }
        : {}),
    };
  }

  /** Restores the saved form; see CircuitBreaker.restore and QuotaMeter.restore. */
  restore(saved: SavedAccount, now: number): void {
    if (saved.breaker) this.breaker.restore(saved.breaker, now);
    for (const [model, savedBreaker] of Object.entries(saved.models ?? {})) {
      this.breakerOf(model)?.restore(savedBreaker, now);
    }
    for (const meter of this.#meters) {
      const counted = saved.quotas?.[meter.id];
      if (counted) meter.restore(counted, now);
    }
    this.meter(now);
  }
}

/**
 * Time of the end of a model's cooldown; of one that is over, the beginning of time, unless its
 * probe is under way.
 */
function endOf({ state, isFree, cooldown }: CircuitBreaker): number {
  return state === 'half-open' && isFree ? 0 : (cooldown?.until ?? 0);
}

/** A quota of the configuration; an absent limit does not limit. */
export interface QuotaSetting {
  readonly calls?: number | undefined;
  readonly tokens?: number | undefined;
  readonly dollars?: number | undefined;
  readonly per: CalendarPeriod;
  /** IANA time zone in which a day or month begins. */
  readonly zone: string;
}

/**
 * Meter of one configured quota in its current window. A call counts from its lease, so that calls
 * in flight together cannot pass the limit; tokens and dollars count when they are known. When the
 * wall clock is set back, what was counted stays counted.
 */
class QuotaMeter {
  /** Limits; what was counted stays when they change. */
  setting: QuotaSetting;
  #window: TimeWindow = { start: 0, end: 0 };
  readonly #used = { calls: 0, tokens: 0, dollars: 0 };

  constructor(setting: QuotaSetting) {
    this.setting = setting;
  }

  /** Name of the meter among those of its account. */
  get id(): string {
    return quotaId(this.setting);
  }

  /** End of the current window. */
  get end(): number {
    return this.#window.end;
  }

  /** Returns whether one of the limits is used up. */
  isSpent(now: number): boolean {
    this.#roll(now);
    const { calls, tokens, dollars } = this.setting;
    const used = this.#used;
    return (
      (calls !== undefined && used.calls >= calls) ||
      (tokens !== undefined && used.tokens >= tokens) ||
      (dollars !== undefined && used.dollars >= dollars)
    );
  }

  /** Counts a call; returns the start of the window that it counts in. */
  takeCall(now: number): number {
    this.#roll(now);
    this.#used.calls += 1;
    return this.#window.start;
  }

  /** Takes back a call that the provider refused to serve, unless its window is over. */
  giveBackCall(windowStart: number, now: number): void {
    this.#roll(now);
    if (this.#window.start === windowStart) this.#used.calls = Math.max(0, this.#used.calls - 1);
  }

  /** Counts what a call used; an absurd value, or one that is not above zero, counts nothing. */
  add(tokens: number | undefined, dollars: number | undefined, now: number): void {
    this.#roll(now);
    this.#used.tokens += believable(tokens, MAX_TOKENS);
    this.#used.dollars += believable(dollars, MAX_DOLLARS);
  }

  describe(now: number): QuotaInfo[] {
    this.#roll(now);
    const { per, zone } = this.setting;
    return (['calls', 'tokens', 'dollars'] as const).flatMap((unit) => {
      const limit = this.setting[unit];
      return limit === undefined ? [] : [{ unit, per, zone, limit, used: this.#used[unit], resetAt: this.#window.end }];
    });
  }

  save(): SavedQuota {
    return { start: this.#window.start, ...this.#used };
  }

  /** Restores the saved form, if its window is not over. */
  restore(saved: SavedQuota, now: number): void {
    this.#roll(now);
    if (saved.start < this.#window.start) return;
    this.#used.calls = amount(saved.calls);
    this.#used.tokens = amount(saved.tokens);
    this.#used.dollars = amount(saved.dollars);
  }

  #roll(now: number): void {
    if (now >= this.#window.start && now < this.#window.end) return;
    const isOver = now >= this.#window.end;
    this.#window = windowAt(now, this.setting.per, this.setting.zone);
    if (isOver) Object.assign(this.#used, { calls: 0, tokens: 0, dollars: 0 });
  }
}

/**
 * Returns the quotas of keys that share an account: of two for the same window the lower limits
 * count.
 */
function mergeQuotas(settings: Iterable<QuotaSetting>): QuotaSetting[] {
  const merged = new Map<string, QuotaSetting>();
  for (const setting of settings) {
    const known = merged.get(quotaId(setting)) ?? setting;
    merged.set(quotaId(setting), {
      calls: lower(known.calls, setting.calls),
      tokens: lower(known.tokens, setting.tokens),
      dollars: lower(known.dollars, setting.dollars),
      per: setting.per,
      zone: setting.zone,
    });
  }
  return [...merged.values()];
}

/** Most that one call is believed to cost; a larger value is wrong, and would use up a quota. */
const MAX_DOLLARS = MAX_COST_MICROS / 1_000_000;

/** Returns the name of a quota: its window, of which an account has one each. */
function quotaId({ per, zone }: QuotaSetting): string {
  return `${per} ${zone}`;
}

function lower(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined ? b : b === undefined ? a : Math.min(a, b);
}

function believable(value: number | undefined, max: number): number {
  const used = amount(value);
  return used <= max ? used : 0;
}

function amount(value: number | undefined): number {
  return value !== undefined && Number.isFinite(value) && value > 0 ? value : 0;
}
