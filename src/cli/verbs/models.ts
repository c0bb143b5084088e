/**
 * `aipassd models`: what a provider offers.
 */

import type { ModelInfo } from '../../protocol/provider.ts';
import { JSON_OPTION, type Verb } from '../verb.ts';

/** Is how many models are shown without `--all`. */
const SHOWN = 10;

/** Lists models. */
export const models: Verb = {
  name: 'models',
  usage: '[provider] [--all] [--json]',
  summary: "list a provider's models, with context and prices where it tells them",
  details: [`--all   all of them, not only the first ${SHOWN}`, '--json  print all of them as a document'],
  options: { ...JSON_OPTION, all: { type: 'boolean' } },
  maxPositionals: 1,
  async run(args, { out, connect, signal }) {
    const aipass = await connect();
    const { provider, models: found } = await aipass.request(
      'provider.models',
      { provider: args.positionals[0] },
      { signal },
    );
    if (args.flag('json')) {
      out.json(found);
      return 0;
    }
    out.line(`${provider}: ${found.length} models`);
    const shown = args.flag('all') ? found : found.slice(0, SHOWN);
    if (shown.length > 0) out.table([['Model', 'Context', '$/prompt', '$/compl'], ...shown.map(describe)]);
    if (shown.length < found.length) out.line(`Showing ${shown.length} of ${found.length}: --all for the full list`);
    return 0;
  },
};

function describe(model: ModelInfo): string[] {
  return [
    model.id,
    printContext(model.contextLength),
    printPrice(model.promptPrice),
    printPrice(model.completionPrice),
  ];
}

function printContext(tokens: number | undefined): string {
  if (tokens === undefined) return '-';
  if (tokens >= 1_000_000) return `${Math.floor(tokens / 1_000_000)}M`;
  return tokens >= 1000 ? `${Math.floor(tokens / 1000)}k` : String(tokens);
}

function printPrice(price: string | undefined): string {
  if (price === undefined) return '-';
  return Number(price) === 0 ? 'free' : `$${price}`;
}
