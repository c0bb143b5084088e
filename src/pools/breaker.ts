/**
 * A provider's circuit breaker: opens after 5 failures in a row, tries one call after 30 s. Failures here are those that
 * no key is blamed for: 5xx, time limits, the network.
 */

import type { Chance } from './backoff.ts';
import { RestCycle, type Rest } from './rest-cycle.ts';

/** Is how many failures in a row open it. */
export const BREAKER_FAILURES = 5;

/** Is how long it stays open before one call is tried. */
export const BREAKER_REST_MS = 30_000;

/** Counts a provider's failures in a row. */
export class Breaker {
  readonly cycle = new RestCycle();
  #failures = 0;

  /** Notes a failure; `newest` is the newest lease handed out. Returns the rest that it began, if it did. */
  fail(lease: number, newest: number, now: number, chance: Chance): Rest | null {
    if (this.cycle.phase === 'resting' || this.cycle.isLate(lease)) return null;
    this.#failures += 1;
    if (this.cycle.phase === 'awake' && this.#failures < BREAKER_FAILURES) return null;
    const sentence = {
      scope: 'account',
      reason: 'failing',
      source: 'default',
      restMs: BREAKER_REST_MS,
      boundMs: BREAKER_REST_MS,
      thenCheck: false,
    } as const;
    return this.cycle.strike(lease, newest, 'provider', sentence, now, chance);
  }

  /** Notes that the provider answered, whatever it said. Returns whether it was resting until then. */
  answer(): boolean {
    this.#failures = 0;
    const restored = this.cycle.phase !== 'awake';
    this.cycle.clear();
    return restored;
  }
}
