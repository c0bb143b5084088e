/**
 * `aipassd models`: what a provider offers.
 */

import type { ModelInfo } from '../../protocol/provider.ts';
import { formatCount } from '../format.ts';
import { flag, JSON_FLAG, optionalWord } from '../options.ts';
import { defineVerb } from '../verb.ts';

/** Number of models that are shown without `--all`. */
const SHOWN = 10;

/** Lists models. */
export const models = defineVerb({
  name: 'models',
  summary: "list a provider's models, with context and prices where it publishes them",
  parameters: {
    provider: optionalWord('the provider; the default one without it', 'providers'),
    all: flag(`show all of them, not only the first ${SHOWN}`),
    json: JSON_FLAG,
  },
  async run({ provider: name, all, json }, { out, connect, signal }) {
    const aipass = await connect();
    const { provider, models: found } = await aipass.request('provider.models', { provider: name }, { signal });
    if (json) {
      out.json(found);
      return 0;
    }
    out.line(`${provider}: ${formatCount(found.length, 'model')}; prices in US dollars for a million tokens`);
    const shown = all ? found : found.slice(0, SHOWN);
    if (shown.length > 0) out.table([['Model', 'Context', 'Prompt', 'Completion'], ...shown.map(describe)]);
    if (shown.length < found.length) out.line(`Showing ${shown.length} of ${found.length}: --all for the full list`);
    return 0;
  },
});

function describe(model: ModelInfo): string[] {
  return [
    model.id,
    formatContext(model.contextLength),
    formatPrice(model.promptPrice),
    formatPrice(model.completionPrice),
  ];
}

function formatContext(tokens: number | undefined): string {
  if (tokens === undefined) return '-';
  if (tokens >= 1_000_000) return `${Math.floor(tokens / 1_000_000)}M`;
  return tokens >= 1000 ? `${Math.floor(tokens / 1000)}k` : String(tokens);
}

/** Formats the price of one token as that of a million: `0.00000025` is `$0.25`. */
function formatPrice(price: string | undefined): string {
  if (price === undefined) return '-';
  const million = Number(price) * 1_000_000;
  // Some providers publish a negative price for "varies".
  if (!Number.isFinite(million) || million < 0) return '-';
  if (million === 0) return 'free';
  const digits = million.toFixed(4).replace(/0{1,2}$/, '');
  return `$${million < 0.0001 ? million.toPrecision(2) : digits}`;
}
