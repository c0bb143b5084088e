/**
 * Money as integers: micro-dollars, a millionth of a US dollar. A sum of them is exact, which a sum
 * of floats is not.
 *
 * Unknown is null, never zero: a call that cost nothing and a call whose cost is unknown are
 * different things.
 */

import { MAX_COST_MICROS } from '../protocol/usage.ts';

/**
 * Converts US dollars, as a number or a decimal text, to micro-dollars, rounded; null for an amount
 * that is not credible.
 */
export function microDollars(dollars: unknown): number | null {
  const amount = decimal(dollars);
  if (amount === null) return null;
  const micros = Math.round(amount * 1_000_000);
  return micros <= MAX_COST_MICROS ? micros : null;
}

/** Prices of a model, in US dollars for one token, as the models endpoint prints them. */
export interface TokenPrices {
  readonly prompt?: string | undefined;
  readonly completion?: string | undefined;
}

/**
 * Returns a call's cost by a price list, in micro-dollars; null if any part is unknown, because a
 * partial sum would be misleading.
 */
export function costFromPrices(
  promptTokens: number | null,
  completionTokens: number | null,
  prices: TokenPrices,
): number | null {
  const prompt = decimal(prices.prompt);
  const completion = decimal(prices.completion);
  if (promptTokens === null || completionTokens === null || prompt === null || completion === null) return null;
  return microDollars(promptTokens * prompt + completionTokens * completion);
}

/**
 * Parses a finite amount of zero or more. OpenRouter's router models have the price "-1", which
 * means "it depends".
 */
function decimal(value: unknown): number | null {
  if (typeof value === 'string' && !/^\d{1,15}(\.\d{1,30})?(e-?\d{1,2})?$/i.test(value)) return null;
  if (typeof value !== 'string' && typeof value !== 'number') return null;
  const amount = Number(value);
  return Number.isFinite(amount) && amount >= 0 ? amount : null;
}
