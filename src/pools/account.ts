/**
 * What shares limits: an account's rests, its models' rests and its quotas. By default each key is an account of its own;
 * keys that configuration puts into one account rest together.
 */

import { mergeQuotas, QuotaMeter, quotaId, type QuotaSetting, type SavedQuota } from './quota.ts';
import { RestCycle, type SavedCycle } from './rest-cycle.ts';

/** Is what an account looks like on disk. */
export interface SavedAccount {
  readonly cycle?: SavedCycle | undefined;
  readonly models?: Readonly<Record<string, SavedCycle>> | undefined;
  readonly quotas?: Readonly<Record<string, SavedQuota>> | undefined;
}

/** Is what an account has to know of its keys. */
export interface AccountMember {
  readonly settings: { readonly quotas?: readonly QuotaSetting[] | undefined };
}

/** Is an account of a provider. */
export class Account<Member extends AccountMember> {
  readonly id: string;
  /** Is the name that configuration gives it, or null for a key that stands alone. */
  readonly name: string | null;
  readonly keys = new Set<Member>();
  readonly cycle = new RestCycle();
  /** Holds the models that rest or are half open; one that is awake is not in it. */
  readonly models = new Map<string, RestCycle>();
  #meters: QuotaMeter[] = [];
  #spent = false;

  constructor(id: string, name: string | null) {
    this.id = id;
    this.name = name;
  }

  /** Tells whether a call may start, as far as the account is concerned; a model of it may still rest. */
  get serves(): boolean {
    return !this.#spent && this.cycle.free;
  }

  /** Tells whether a quota is used up, as of the last `meter`. */
  get isSpent(): boolean {
    return this.#spent;
  }

  /** Takes the quotas of its keys; what was counted for the same window stays. */
  setQuotas(): void {
    const known = new Map(this.#meters.map((meter) => [meter.id, meter]));
    this.#meters = mergeQuotas([...this.keys].flatMap((key) => key.settings.quotas ?? [])).map((setting) => {
      const meter = known.get(quotaId(setting)) ?? new QuotaMeter(setting);
      meter.setting = setting;
      return meter;
    });
  }

  /** Looks at the quotas anew. Returns whether that changed `isSpent`. */
  meter(now: number): boolean {
    const was = this.#spent;
    // Every meter is asked: asking moves its window.
    this.#spent = this.#meters.filter((meter) => meter.isSpent(now)).length > 0;
    return was !== this.#spent;
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

  /** Moves every rest in time, after the wall clock was set back. */
  shift(ms: number): void {
    this.cycle.shift(ms);
    for (const cycle of this.models.values()) cycle.shift(ms);
  }

  save(): SavedAccount {
    const cycle = this.cycle.save();
    const models = [...this.models].flatMap(([model, resting]): [string, SavedCycle][] => {
      const saved = resting.save();
      return saved ? [[model, saved]] : [];
    });
    return {
      ...(cycle ? { cycle } : {}),
      ...(models.length > 0 ? { models: Object.fromEntries(models) } : {}),
      ...(this.#meters.length > 0
        ? { quotas: Object.fromEntries(this.#meters.map((meter) => [meter.id, meter.save()])) }
        : {}),
    };
  }

  /** Takes up what was saved; see RestCycle.restore and QuotaMeter.restore. */
  restore(saved: SavedAccount, now: number, maxRestMs: number): void {
    if (saved.cycle) this.cycle.restore(saved.cycle, now, maxRestMs);
    for (const [model, savedCycle] of Object.entries(saved.models ?? {})) {
      const cycle = new RestCycle();
      cycle.restore(savedCycle, now, maxRestMs);
      this.models.set(model, cycle);
    }
    for (const meter of this.#meters) {
      const counted = saved.quotas?.[meter.id];
      if (counted) meter.restore(counted, now);
    }
    this.meter(now);
  }
}
