/**
 * Money as integers: micro-dollars, a millionth of a US dollar. A sum of them is exact, which a sum of floats is not.
 *
 * Unknown is null, never zero: a call that cost nothing and a call whose cost nobody told are different things.
 */

/** Is the dearest call that is believed, in micro-dollars (10,000 dollars); above it the provider is talking nonsense. */
export const MAX_COST_MICROS = 10_000_000_000;

/** Turns US dollars, as a number or a decimal text, into micro-dollars, rounded; null for what is no believable amount. */
export function microDollars(dollars: unknown): number | null {
  const amount = decimal(dollars);
  if (amount === null) return null;
  const micros = Math.round(amount * 1_000_000);
  return micros <= MAX_COST_MICROS ? micros : null;
}

/** Is what a model costs, in US dollars for one token, as the models endpoint prints it. */
export interface TokenPrices {
  readonly prompt?: string | undefined;
  readonly completion?: string | undefined;
}

/**
 * Works out a call's cost from a price list, in micro-dollars.
 *
 * Returns null where a count or its price is unknown: half a sum would look like a whole one.
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

/** Prints micro-dollars as dollars with six decimals, as AIPass did. */
export function printDollars(micros: number): string {
  return `$${(micros / 1_000_000).toFixed(6)}`;
}

/** Reads a finite amount of zero or more. OpenRouter's router models have the price "-1", which means "it depends". */
function decimal(value: unknown): number | null {
  if (typeof value === 'string' && !/^\d{1,15}(\.\d{1,30})?(e-?\d{1,2})?$/i.test(value)) return null;
  if (typeof value !== 'string' && typeof value !== 'number') return null;
  const amount = Number(value);
  return Number.isFinite(amount) && amount >= 0 ? amount : null;
}
