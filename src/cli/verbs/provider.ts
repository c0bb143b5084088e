/**
 * Providers: `aipassd list-providers` lists them with the number of their keys. `models` lists what
 * one offers. `test` asks one whether it answers and accepts the key.
 */

import { AipassError } from '../../base/errors.ts';
import type { Aipass } from '../../client/aipass.ts';
import type { Operations } from '../../protocol/operations.ts';
import type { KeyVerdict, ModelInfo } from '../../protocol/provider.ts';
import { formatCount } from '../format.ts';
import { defineVerb, flag, JSON_FLAG, optionalWord } from '../verb.ts';

export const listProviders = defineVerb({
  name: 'list-providers',
  summary: 'list the known providers, and how many keys each has',
  parameters: { json: JSON_FLAG },
  async run({ json }, { out, connect }) {
    const { defaultProvider, providers } = await (await connect()).request('provider.list', {});
    if (json) return out.json({ defaultProvider, providers });
    out.line('Available providers');
    out.table(
      providers.map((one) => [
        `- ${one.name}${one.name === defaultProvider ? ' (default)' : ''}`,
        one.keys.length > 0 ? formatCount(one.keys.length, 'key') : one.needsKey ? 'no key' : 'needs no key',
        one.baseUrl,
      ]),
      { indent: 2 },
    );
  },
});

/** Number of models that are shown without `--all`. */
const SHOWN = 10;

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
    if (json) return out.json(found);
    out.line(`${provider}: ${formatCount(found.length, 'model')}; prices in US dollars for a million tokens`);
    const shown = all ? found : found.slice(0, SHOWN);
    if (shown.length > 0) out.table([['Model', 'Context', 'Prompt', 'Completion'], ...shown.map(describe)]);
    if (shown.length < found.length) out.line(`Showing ${shown.length} of ${found.length}: --all for the full list`);
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

export const testConnection = defineVerb({
  name: 'test',
  summary: 'ask a provider whether it answers and accepts the key',
  parameters: { provider: optionalWord('the provider; the default one without it', 'providers'), json: JSON_FLAG },
  async run({ provider: wanted, json }, { out, connect, signal }) {
    const aipass = await connect();
    const { defaultProvider, providers } = await aipass.request('provider.list', {});
    const name = wanted ?? defaultProvider;
    const provider = providers.find((one) => one.name === name);
    const isKeyless = provider !== undefined && !provider.needsKey && provider.keys.length === 0;

    const [verdict] = isKeyless ? [] : await aipass.validate(name, { online: true, signal });
    if (verdict?.verdict === 'invalid') {
      throw new AipassError('PROVIDER_REJECTED', `${name} does not accept ${verdict.keyId}: ${verdict.detail}`, {
        hint: `replace it: aipassd credential rotate ${verdict.keyId}`,
      });
    }
    const isAccepted = verdict?.verdict === 'valid';
    const { asked, models: found } = await askModels(aipass, name, signal);
    const wasTested = isAccepted || asked;
    if (json) out.json({ provider: name, tested: wasTested, models: found.length, key: verdict ?? null });
    if (!wasTested) throw notTested(name, verdict, found[0]?.id);
    const proof = isAccepted ? 'the key is accepted' : (verdict?.detail ?? 'it needs no key');
    const list = asked ? `${formatCount(found.length, 'model')} available; ` : '';
    const isUnproven = !isAccepted && !isKeyless;
    const outcome = isUnproven ? 'The key was not checked' : 'Connection successful';
    if (!json) out.line(`${outcome}: ${name} answers, ${list}${proof}`);
  },
});

/** A provider without a list of models has not failed the test. */
async function askModels(
  aipass: Aipass,
  provider: string,
  signal: AbortSignal,
): Promise<Pick<Operations['provider.models']['result'], 'asked' | 'models'>> {
  try {
    return await aipass.request('provider.models', { provider }, { signal });
  } catch (error) {
    if (!(error instanceof AipassError) || error.code !== 'NOT_FOUND') throw error;
    return { asked: false, models: [] };
  }
}

/** Returns the error for a provider of which nothing could be asked, or that did not answer. */
function notTested(name: string, verdict: KeyVerdict | undefined, model = 'M'): AipassError {
  const reason =
    verdict?.checked === 'online'
      ? verdict.detail
      : `${verdict?.detail ?? 'it needs no key'}, and it has no list of models to ask for`;
  return new AipassError('NOT_FOUND', `${name} was not tested: ${reason}`, {
    hint: `test it with a small completion: aipassd call ping --provider ${name} --model ${model}`,
  });
}
