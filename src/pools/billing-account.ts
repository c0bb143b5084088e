/**
 * A billing account of a provider: its cooldown, the cooldowns of its models, and its quotas. By
 * default each key has one of its own; keys that the configuration puts into one account cool down
 * together.
 */

import { mergeQuotas, QuotaMeter, quotaId, type QuotaSetting, type SavedQuota } from './quota.ts';
import { CircuitBreaker, type SavedBreaker } from './circuit-breaker.ts';

/** Number of models of one account that may cool down on their own; callers choose their names. */
const MAX_MODELS = 64;

/** Longest name of a model that cools down on its own, in characters. */
const MAX_MODEL_NAME = 256;

/** Saved form of a billing account. */
export interface SavedAccount {
  readonly breaker?: SavedBreaker | undefined;
  readonly models?: Readonly<Record<string, SavedBreaker>> | undefined;
  readonly quotas?: Readonly<Record<string, SavedQuota>> | undefined;
}

/** Key of an account, as far as the account reads it. */
export interface AccountMember {
  readonly settings: { readonly quotas?: readonly QuotaSetting[] | undefined };
}

/** A billing account of a provider. */
export class BillingAccount<Member extends AccountMember> {
  readonly id: string;
  /** Name in the configuration, or null for a key that shares its limits with no other. */
  readonly name: string | null;
  readonly keys = new Set<Member>();
  readonly breaker = new CircuitBreaker();
  /** Breakers of its models; a closed one is not kept. */
  readonly models = new Map<string, CircuitBreaker>();
  #meters: QuotaMeter[] = [];
  #isSpent = false;

  constructor(id: string, name: string | null) {
    this.id = id;
    this.name = name;
  }

  /**
   * True where a call may start as far as the account is concerned; a model of it may still cool
   * down.
   */
  get isFree(): boolean {
    return !this.#isSpent && this.breaker.isFree;
  }

  /** True where a quota is used up, as of the last `meter`. */
  get isSpent(): boolean {
    return this.#isSpent;
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
    const known = new Map(this.#meters.map((meter) => [meter.id, meter]));
    this.#meters = mergeQuotas([...this.keys].flatMap((key) => key.settings.quotas ?? [])).map((setting) => {
      const meter = known.get(quotaId(setting)) ?? new QuotaMeter(setting);
      meter.setting = setting;
      return meter;
    });
  }

  /** Reads the quotas again. Returns whether that changed `isSpent`. */
  meter(now: number): boolean {
    if (this.#meters.length === 0) return false;
    const was = this.#isSpent;
    // Every meter is asked: asking moves its window.
    this.#isSpent = this.#meters.filter((meter) => meter.isSpent(now)).length > 0;
    return was !== this.#isSpent;
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
      ...(this.#meters.length > 0
        ? { quotas: Object.fromEntries(this.#meters.map((meter) => [meter.id, meter.save()])) }
        : {}),
    };
  }

  /** Restores the saved form; see CircuitBreaker.restore and QuotaMeter.restore. */
  restore(saved: SavedAccount, now: number, maxCooldownMs: number): void {
    if (saved.breaker) this.breaker.restore(saved.breaker, now, maxCooldownMs);
    for (const [model, savedBreaker] of Object.entries(saved.models ?? {})) {
      this.breakerOf(model)?.restore(savedBreaker, now, maxCooldownMs);
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
