/**
 * One thing's turns of serving and resting: awake → resting → half open → awake. Owns the rules that a rest always ends,
 * that one call alone probes after it, and that only a call that began after the rest can change it.
 *
 * Calls are told apart by their lease number, which grows: of 32 calls in flight that all meet the limit, the first
 * counts and the others only may lengthen the rest.
 */

import type { RestInfo, RestScope } from '../protocol/pool.ts';
import { backoffMs, REST_BACKOFF, type Chance } from './backoff.ts';
import type { Sentence } from './verdict.ts';

/** Is a rest under way, with what comes after it. */
export interface Rest extends RestInfo {
  /** Tells that the key is checked before its next call. */
  readonly thenCheck: boolean;
}

/** Is what a cycle looks like on disk. */
export interface SavedCycle {
  readonly rest: Rest;
  readonly strikes: number;
}

/** Is a key, an account, a model of an account, or a provider, as far as resting goes. */
export class RestCycle {
  #phase: 'awake' | 'resting' | 'half-open' = 'awake';
  #rest: Rest | null = null;
  #strikes = 0;
  /** Is the newest lease when the last rest began: leases up to it know nothing of what came after. */
  #since = 0;
  #probe: { readonly lease: number; readonly until: number } | null = null;

  get phase(): 'awake' | 'resting' | 'half-open' {
    return this.#phase;
  }

  /** Is the rest under way or, half open, the last one; null when awake. */
  get rest(): Rest | null {
    return this.#rest;
  }

  get strikes(): number {
    return this.#strikes;
  }

  /** Tells whether a call may start: awake, or half open with no probe under way. */
  get free(): boolean {
    return this.#phase === 'awake' || (this.#phase === 'half-open' && this.#probe === null);
  }

  /** Notes that a lease was taken; half open, it is the probe until a wall time. Returns whether that changed `free`. */
  take(lease: number, until: number): boolean {
    if (this.#phase !== 'half-open') return false;
    this.#probe = { lease, until };
    return true;
  }

  /** Notes that a lease was given back. Returns whether that changed `free`. */
  giveBack(lease: number): boolean {
    if (this.#probe?.lease !== lease) return false;
    this.#probe = null;
    return true;
  }

  /** Tells whether a lease began before the last rest, so that its failure is the one already counted. */
  isLate(lease: number): boolean {
    return lease <= this.#since;
  }

  /**
   * Begins or lengthens a rest; `newest` is the newest lease handed out. Returns the rest, or null where this failure
   * changed nothing.
   */
  strike(
    lease: number,
    newest: number,
    scope: RestScope,
    sentence: Sentence,
    now: number,
    chance: Chance,
    model?: string,
  ): Rest | null {
    const late = this.isLate(lease);
    if (late && sentence.restMs === null) return null;
    if (!late) this.#strikes += 1;
    const restMs = sentence.restMs ?? backoffMs(REST_BACKOFF, this.#strikes, chance);
    const until = now + Math.max(1, Math.min(restMs, sentence.boundMs));
    if (this.#rest && this.#phase === 'resting' && this.#rest.until >= until) return null;
    this.#rest = {
      scope,
      reason: sentence.reason,
      source: sentence.source,
      since: now,
      until,
      bound: now + sentence.boundMs,
      ...(model === undefined ? {} : { model }),
      thenCheck: sentence.thenCheck,
    };
    this.#phase = 'resting';
    this.#since = newest;
    this.#probe = null;
    return this.#rest;
  }

  /**
   * Ends the rest when its time has come: the next call is the probe. So is it when the probe under way took too long; it
   * may never come back. Returns whether anything changed.
   */
  wake(now: number): boolean {
    if (this.#probe && this.#probe.until <= now) {
      this.#probe = null;
      return true;
    }
    if (this.#phase !== 'resting' || !this.#rest || this.#rest.until > now) return false;
    this.#phase = 'half-open';
    return true;
  }

  /** Puts the end off, because a check comes first. */
  awaitCheck(until: number): void {
    if (this.#rest) this.#rest = { ...this.#rest, until, bound: Math.max(until, this.#rest.bound), thenCheck: false };
  }

  /** Ends a rest at once, or begins anew, without proof: the next call is the probe. */
  putOnProbation(): void {
    this.#phase = 'half-open';
    this.#probe = null;
  }

  /** Notes a success of a lease; one that began before the rest proves nothing. Returns whether it ended a half-open phase. */
  succeed(lease: number): boolean {
    if (this.#phase === 'resting' || lease <= this.#since) return false;
    const restored = this.#phase === 'half-open';
    this.clear();
    return restored;
  }

  /** Forgets every rest. */
  clear(): void {
    this.#phase = 'awake';
    this.#rest = null;
    this.#strikes = 0;
    this.#probe = null;
  }

  /** Moves a rest in time, after the wall clock was set back. */
  shift(ms: number): void {
    const rest = this.#rest;
    if (rest) this.#rest = { ...rest, since: rest.since + ms, until: rest.until + ms, bound: rest.bound + ms };
    if (this.#probe) this.#probe = { ...this.#probe, until: this.#probe.until + ms };
  }

  /** Returns what has to outlive a restart, or null when awake. */
  save(): SavedCycle | null {
    return this.#rest && { rest: this.#rest, strikes: this.#strikes };
  }

  /** Takes up what was saved; of a rest that has more left than it ever had, the clock was set back, and it begins anew. */
  restore(saved: SavedCycle, now: number, maxMs: number): void {
    const { since, until: savedUntil, bound } = saved.rest;
    const until = Math.min(savedUntil, now + Math.min(maxMs, savedUntil - since));
    this.#rest = {
      ...saved.rest,
      since: Math.min(since, now),
      until,
      bound: Math.max(until, Math.min(bound, now + maxMs)),
    };
    this.#strikes = saved.strikes;
    this.#phase = 'resting';
    this.wake(now);
  }
}
