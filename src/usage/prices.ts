/**
 * What models cost, as the providers' models endpoints say: asked for when it is needed, and remembered for an hour.
 */

import type { Clock } from '../base/clock.ts';
import type { ModelInfo } from '../protocol/provider.ts';
import type { TokenPrices } from './micro-dollars.ts';

const REMEMBERED_MS = 3_600_000;

/** Is how long a provider that did not say is left alone: it may have been away for a moment. */
const FAILED_MS = 60_000;

type Prices = ReadonlyMap<string, TokenPrices>;

/** Is a provider's price list, or the attempt to get it, and until when it serves, on the monotonic clock. */
interface PriceList {
  until: number;
  readonly prices: Promise<Prices>;
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
    if (!list || now > list.until) {
      list = this.#ask(provider, signal, now);
      this.#lists.set(provider, list);
    }
    return (await list.prices).get(model) ?? null;
  }

  #ask(provider: string, signal: AbortSignal, now: number): PriceList {
    const list: PriceList = {
      until: now + REMEMBERED_MS,
      prices: this.#read(provider, signal).catch(() => {
        list.until = now + FAILED_MS;
        return new Map();
      }),
    };
    return list;
  }

  async #read(provider: string, signal: AbortSignal): Promise<Prices> {
    const models = await this.#fetchModels(provider, signal);
    return new Map(
      models.flatMap(({ id, promptPrice: prompt, completionPrice: completion }) =>
        prompt === undefined && completion === undefined ? [] : [[id, { prompt, completion }]],
      ),
    );
  }
}
