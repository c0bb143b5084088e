/**
 * Fetches a provider's models, page by page.
 */

import { systemClock, type Clock } from '../base/clock.ts';
import { AipassError } from '../base/errors.ts';
import type { Secret } from '../base/secret.ts';
import type { ModelInfo } from '../protocol/provider.ts';
import { redactWith } from './error-reason.ts';
import { askJson } from './http.ts';
import { readModelPage, type ModelPage } from './model-list.ts';
import type { Provider } from './provider.ts';
import { describeGarbage, describeRefusal } from './refusal.ts';

/** Bounds how many pages are asked for: at the usual thousand a page, far more models than anybody has. */
const MAX_PAGES = 50;

/**
 * Returns the models of a provider in its own order, each once; those of the configuration where it lists none.
 *
 * @throws AipassError NOT_FOUND where neither is there, PROVIDER_REJECTED or PROVIDER_UNAVAILABLE for a refusal or for an
 * answer that is no list, TIMED_OUT, CANCELLED.
 */
export async function fetchModels(
  provider: Provider,
  key: Secret | null,
  signal: AbortSignal,
  clock: Clock = systemClock,
): Promise<ModelInfo[]> {
  if (provider.modelsUrl === null) return listKnownModels(provider);
  const models = new Map<string, ModelInfo>();
  const url = new URL(provider.modelsUrl);
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const { models: found, next } = await fetchPage(provider, key, url.href, signal, clock);
    const before = models.size;
    for (const model of found) if (!models.has(model.id)) models.set(model.id, model);
    // A server that does not know the parameter sends its first page for ever.
    if (!next || models.size === before) break;
    url.searchParams.set(next.parameter, next.value);
  }
  return [...models.values()];
}

async function fetchPage(
  provider: Provider,
  key: Secret | null,
  url: string,
  signal: AbortSignal,
  clock: Clock,
): Promise<ModelPage> {
  const answer = await askJson(provider, key, { method: 'GET', url }, signal, clock);
  if (answer.status < 200 || answer.status > 299) {
    throw describeRefusal(answer, { provider: provider.name, keyId: null, redact: redactWith(key), now: clock.now() });
  }
  const page = readModelPage(answer.body);
  if (page) return page;
  throw describeGarbage(
    answer.body === undefined ? 'a model list that is no JSON' : 'JSON that is no model list',
    provider.name,
  );
}

function listKnownModels(provider: Provider): ModelInfo[] {
  if (provider.models.length > 0) return provider.models.map((id) => ({ id }));
  throw new AipassError('NOT_FOUND', `${provider.name} has no endpoint that lists its models`, {
    hint: `name them in the configuration: "providers.${provider.name}.models"`,
  });
}
