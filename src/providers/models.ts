/**
 * Fetches a provider's models, page by page, whatever the dialect of its list.
 *
 * Dialects: OpenAI's `{data: [{id}]}`, OpenRouter's with prices for one token, Together's bare
 * array with prices for a million, Anthropic's with `display_name` and `has_more`, Google's
 * `{models: [{name: "models/…"}]}` with `nextPageToken`, Cohere's `{models: [{name}]}` with
 * `next_page_token`.
 */

import { systemClock, type Clock } from '../base/clock.ts';
import { AipassError } from '../base/errors.ts';
import { toRecord } from '../base/json.ts';
import { plainText } from '../base/plain-text.ts';
import type { Secret } from '../base/secret.ts';
import type { ModelInfo } from '../protocol/provider.ts';
import { classifyFailure } from './classify-failure.ts';
import { redactWith, type Redact } from './error-reason.ts';
import { askJson } from './http.ts';
import type { Provider } from './provider.ts';
import { describeGarbage, describeRefusal } from './refusal.ts';

/**
 * Number of pages that are fetched: at the usual thousand a page, far more models than any provider
 * has.
 */
const MAX_PAGES = 50;

/**
 * Returns the models of a provider in its own order, each once; those of the configuration where it
 * lists none.
 *
 * @throws AipassError NOT_FOUND where neither is there, PROVIDER_REJECTED or PROVIDER_UNAVAILABLE
 * for a refusal or for an answer that is not a list, TIMED_OUT, CANCELLED.
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
    // A server that does not know the parameter sends its first page again and again.
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
    const failure = classifyFailure(provider.name, answer, clock.now());
    throw describeRefusal(answer, { provider: provider.name, keyId: null, redact: redactWith(key) }, failure);
  }
  const page = readModelPage(answer.body, redactWith(key));
  if (page) return page;
  throw describeGarbage(
    answer.body === undefined ? 'a model list that is not JSON' : 'JSON that is not a model list',
    provider.name,
  );
}

function listKnownModels(provider: Provider): ModelInfo[] {
  if (provider.models.length > 0) return provider.models.map((id) => ({ id }));
  throw new AipassError('NOT_FOUND', `${provider.name} has no endpoint that lists its models`, {
    hint: `name them in the configuration: "providers.${provider.name}.models"`,
  });
}

export interface ModelPage {
  readonly models: readonly ModelInfo[];
  /** Query parameter of the next page, or undefined on the last. */
  readonly next: { readonly parameter: string; readonly value: string } | undefined;
}

/** Longest id or name that is kept, in characters. */
const MAX_NAME = 256;

/**
 * Parses a page; returns undefined for a document that is not a model list. Ids and names are the
 * provider's text, which may quote the key: `redact` masks it.
 */
export function readModelPage(document: unknown, redact: Redact): ModelPage | undefined {
  const fields = toRecord(document);
  const entries = [document, fields['data'], fields['models']].find((value): value is unknown[] =>
    Array.isArray(value),
  );
  if (!entries) return undefined;
  return {
    models: entries.map((entry) => readModel(entry, redact)).filter((model) => model !== undefined),
    next: readNext(fields),
  };
}

function readNext(fields: Readonly<Record<string, unknown>>): ModelPage['next'] {
  const lastId = text(fields['last_id']);
  if (fields['has_more'] === true && lastId !== undefined) return { parameter: 'after_id', value: lastId };
  const googleToken = text(fields['nextPageToken']);
  if (googleToken !== undefined) return { parameter: 'pageToken', value: googleToken };
  const cohereToken = text(fields['next_page_token']);
  return cohereToken === undefined ? undefined : { parameter: 'page_token', value: cohereToken };
}

function readModel(entry: unknown, redact: Redact): ModelInfo | undefined {
  const fields = toRecord(entry);
  const id = text(fields['id']) ?? text(fields['name']);
  if (id === undefined) return undefined;
  const name = text(fields['display_name']) ?? text(fields['displayName']) ?? text(fields['name']);
  const contextLength = CONTEXT_FIELDS.map((field) => fields[field]).find(isCount);
  const pricing = toRecord(fields['pricing']);
  const promptPrice = tokenPrice(pricing['prompt'], pricing['input']);
  const completionPrice = tokenPrice(pricing['completion'], pricing['output']);
  return {
    // Google's names stand below "models/", but are asked for without it.
    id: plainText(redact(id.replace(/^models\//, '')), MAX_NAME),
    ...(name === undefined || name === id ? {} : { name: plainText(redact(name), MAX_NAME) }),
    ...(contextLength === undefined ? {} : { contextLength }),
    ...(promptPrice === undefined ? {} : { promptPrice }),
    ...(completionPrice === undefined ? {} : { completionPrice }),
  };
}

/**
 * Fields for the length of the context: OpenRouter and Together, Groq, Mistral, Google, Anthropic,
 * vLLM.
 */
const CONTEXT_FIELDS = [
  'context_length',
  'context_window',
  'max_context_length',
  'inputTokenLimit',
  'max_input_tokens',
  'max_model_len',
] as const;

/**
 * Returns dollars for one token: given as such in a text (OpenRouter), or as a number for a million
 * (Together). A negative price is a placeholder.
 */
function tokenPrice(perToken: unknown, perMillion: unknown): string | undefined {
  if (typeof perToken === 'string' && /^\d+(?:\.\d+)?(?:e-?\d+)?$/i.test(perToken)) return perToken;
  if (typeof perMillion !== 'number' || !Number.isFinite(perMillion) || perMillion < 0) return undefined;
  return (perMillion / 1e6).toFixed(12).replace(/\.?0+$/, '');
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0;
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value.trim() !== '' ? value : undefined;
}
