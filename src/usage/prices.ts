/**
 * What models cost, as the providers' models endpoints say: asked for when it is needed, and remembered for an hour.
 */

import type { Clock } from '../base/clock.ts';
import type { ModelInfo } from '../protocol/provider.ts';
import type { TokenPrices } from './micro-dollars.ts';

const REMEMBERED_MS = 3_600_000;

/** Is a provider's price list, or the attempt to get it; a failed one is remembered as empty. */
interface PriceList {
  readonly since: number;
  readonly prices: Promise<ReadonlyMap<string, TokenPrices>>;
}

/** Knows prices. */
export class PriceBook {
  readonly #fetchModels: (provider: string, signal: AbortSignal) => Promise<readonly ModelInfo[]>;
  readonly #clock: Clock;
  readonly #lists = new Map<string, PriceList>();

  constructor(fetchModels: (provider: string, signal: AbortSignal) => Promise<readonly ModelInfo[]>, clock: Clock) {
    this.#fetchModels = fetchModels;
    this.#clock = clock;
  }

  /** Returns what a token of a model costs, or null where the provider does not say, or cannot be asked. */
  async prices(provider: string, model: string, signal: AbortSignal): Promise<TokenPrices | null> {
    const now = this.#clock.monotonic();
    let list = this.#lists.get(provider);
    if (!list || now - list.since > REMEMBERED_MS) {
      list = { since: now, prices: this.#read(provider, signal) };
      this.#lists.set(provider, list);
    }
    return (await list.prices).get(model) ?? null;
  }

  async #read(provider: string, signal: AbortSignal): Promise<ReadonlyMap<string, TokenPrices>> {
    try {
      const models = await this.#fetchModels(provider, signal);
      return new Map(
        models.flatMap(({ id, promptPrice: prompt, completionPrice: completion }) =>
          prompt === undefined && completion === undefined ? [] : [[id, { prompt, completion }]],
        ),
      );
    } catch {
      return new Map();
    }
  }
}
