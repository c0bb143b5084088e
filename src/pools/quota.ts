/**
 * A configured quota, counted by us: known before the provider refuses, and kept across restarts.
 *
 * A call counts from its lease, so that calls in flight together cannot pass the limit; tokens and
 * dollars count when they are known. When the wall clock is set back, what was counted stays
 * counted.
 */

import { windowAt, type CalendarPeriod, type TimeWindow } from '../base/time-window.ts';
import type { QuotaInfo } from '../protocol/pool.ts';

/** A quota of the configuration; an absent limit does not limit. */
export interface QuotaSetting {
  readonly calls?: number | undefined;
  readonly tokens?: number | undefined;
  readonly dollars?: number | undefined;
  readonly per: CalendarPeriod;
  /** IANA time zone in which a day or month begins. */
  readonly zone: string;
}

/** Saved form of a meter. */
export interface SavedQuota {
  readonly start: number;
  readonly calls: number;
  readonly tokens: number;
  readonly dollars: number;
}

/** Meter of one quota in its current window. */
export class QuotaMeter {
  #setting: QuotaSetting;
  #window: TimeWindow = { start: 0, end: 0 };
  readonly #used = { calls: 0, tokens: 0, dollars: 0 };

  constructor(setting: QuotaSetting) {
    this.#setting = setting;
  }

  /** Name of the meter among those of its account. */
  get id(): string {
    return quotaId(this.#setting);
  }

  /** End of the current window. */
  get end(): number {
    return this.#window.end;
  }

  /** Changes the limits; what was counted stays. */
  set setting(setting: QuotaSetting) {
    this.#setting = setting;
  }

  /** Returns whether one of the limits is used up. */
  isSpent(now: number): boolean {
    this.#roll(now);
    const { calls, tokens, dollars } = this.#setting;
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

  /** Describes each limit of this quota. */
  describe(now: number): QuotaInfo[] {
    this.#roll(now);
    const { per, zone } = this.#setting;
    return (['calls', 'tokens', 'dollars'] as const).flatMap((unit) => {
      const limit = this.#setting[unit];
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
    this.#window = windowAt(now, this.#setting.per, this.#setting.zone);
    if (isOver) Object.assign(this.#used, { calls: 0, tokens: 0, dollars: 0 });
  }
}

/**
 * Returns the quotas of keys that share an account: of two for the same window the lower limits
 * count.
 */
export function mergeQuotas(settings: Iterable<QuotaSetting>): QuotaSetting[] {
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

/**
 * Most that one call is believed to use; a larger value is wrong, and would use up a quota at once.
 */
const MAX_TOKENS = 100_000_000;
const MAX_DOLLARS = 10_000;

/** Returns the name of a quota: its window, of which an account has one each. */
export function quotaId({ per, zone }: QuotaSetting): string {
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
