/**
 * Which of two free keys comes first, for each strategy. Every strategy is a comparison of keys, so
 * that one scan serves them all; randomness only draws the order of a round.
 */

import type { Random } from '../base/backoff.ts';
import type { PoolStrategy } from '../protocol/pool.ts';

/** Fields that a key is ranked by. */
export interface Ranked {
  readonly weight: number;
  /** The lowest is served first. */
  readonly priority: number;
  inFlight: number;
  /** UTC day that `dayUses` counts; an older day counts as no uses. */
  day: number;
  dayUses: number;
  /** Number of its newest lease. */
  lastLease: number;
  /** Place in the order that `weighted` and `random` keep. */
  turn: number;
}

type Compare = (a: Ranked, b: Ranked) => number;

const leastUsed: Compare = (a, b) =>
  a.inFlight - b.inFlight || a.day - b.day || a.dayUses - b.dayUses || a.lastLease - b.lastLease;

const byTurn: Compare = (a, b) => a.turn - b.turn || a.lastLease - b.lastLease;

const ORDERS: Readonly<Record<PoolStrategy, Compare>> = {
  'least-used': leastUsed,
  'round-robin': (a, b) => a.lastLease - b.lastLease,
  random: byTurn,
  weighted: byTurn,
  priority: (a, b) => a.priority - b.priority || leastUsed(a, b),
};

/** Returns the order of a strategy: below zero where the first key is served before the second. */
export function orderOf(strategy: PoolStrategy): Compare {
  return ORDERS[strategy];
}

/** Returns the turn of a key that has just come. */
export function firstTurn(strategy: PoolStrategy, weight: number, random: Random): number {
  return strategy === 'weighted' ? 1 / weight : strategy === 'random' ? random() : 0;
}

/**
 * Returns a key's turn after a call. Weighted is stride scheduling: a key of weight 3 moves a third
 * as far as one of weight 1. Random draws a place in the next round, so that every key is used once
 * per round, in a random order.
 */
export function nextTurn(strategy: PoolStrategy, { turn, weight }: Ranked, random: Random): number {
  return strategy === 'weighted' ? turn + 1 / weight : strategy === 'random' ? Math.floor(turn) + 1 + random() : turn;
}

/**
 * Returns the turn of a key that comes back while others are at `current`: it does not catch up on
 * what it missed.
 */
export function rejoinedTurn(strategy: PoolStrategy, turn: number, current: number, random: Random): number {
  if (strategy === 'weighted') return Math.max(turn, current);
  if (strategy === 'random' && Math.floor(turn) < Math.floor(current)) return Math.floor(current) + random();
  return turn;
}
