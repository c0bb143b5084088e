/**
 * Which of two free keys comes first, for each strategy. Every strategy is an order of keys, so that one tournament tree
 * serves them all; chance only draws the order of a round.
 */

import type { PoolStrategy } from '../protocol/pool.ts';
import type { Chance } from './backoff.ts';

/** Is what a key is ranked by. */
export interface Ranked {
  readonly weight: number;
  /** Is served first the lower it is. */
  readonly priority: number;
  inFlight: number;
  /** Is the UTC day that `dayUses` counts; an older day counts as no uses. */
  day: number;
  dayUses: number;
  /** Is the number of its newest lease. */
  lastLease: number;
  /** Is its place in the order that `weighted` and `random` keep. */
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
export function firstTurn(strategy: PoolStrategy, weight: number, chance: Chance): number {
  return strategy === 'weighted' ? 1 / weight : strategy === 'random' ? chance() : 0;
}

/**
 * Returns a key's turn after a call. Weighted is stride scheduling: a key of weight 3 moves a third as far as one of
 * weight 1. Random draws a place in the next round, so that every key is used once per round, in an order nobody knows.
 */
export function nextTurn(strategy: PoolStrategy, { turn, weight }: Ranked, chance: Chance): number {
  return strategy === 'weighted' ? turn + 1 / weight : strategy === 'random' ? Math.floor(turn) + 1 + chance() : turn;
}

/** Returns the turn of a key that comes back while others are at `current`: it makes up for nothing that it missed. */
export function rejoinedTurn(strategy: PoolStrategy, turn: number, current: number, chance: Chance): number {
  if (strategy === 'weighted') return Math.max(turn, current);
  if (strategy === 'random' && Math.floor(turn) < Math.floor(current)) return Math.floor(current) + chance();
  return turn;
}
