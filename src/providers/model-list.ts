/**
 * Reads a page of a model list, whatever its dialect. Pure.
 *
 * Dialects: OpenAI's `{data: [{id}]}`, OpenRouter's with prices for one token, Together's bare array with prices for a
 * million, Anthropic's with `display_name` and `has_more`, Google's `{models: [{name: "models/…"}]}` with `nextPageToken`,
 * Cohere's `{models: [{name}]}` with `next_page_token`.
 */

import { plainText } from '../base/plain-text.ts';
import type { ModelInfo } from '../protocol/provider.ts';
import { toFields } from './json-fields.ts';

/** Is one page: its models, and how to ask for the next. */
export interface ModelPage {
  readonly models: readonly ModelInfo[];
  /** Is the query parameter that leads to the next page, or undefined on the last. */
  readonly next: { readonly parameter: string; readonly value: string } | undefined;
}

/** Is the longest id or name that is kept, in characters. */
const MAX_NAME = 256;

/** Returns the page, or undefined for a document that is no model list. */
export function readModelPage(document: unknown): ModelPage | undefined {
  const fields = toFields(document);
  const entries = [document, fields['data'], fields['models']].find((value): value is unknown[] =>
    Array.isArray(value),
  );
  if (!entries) return undefined;
  return { models: entries.map(readModel).filter((model) => model !== undefined), next: readNext(fields) };
}

function readNext(fields: Readonly<Record<string, unknown>>): ModelPage['next'] {
  const lastId = text(fields['last_id']);
  if (fields['has_more'] === true && lastId !== undefined) return { parameter: 'after_id', value: lastId };
  const googleToken = text(fields['nextPageToken']);
  if (googleToken !== undefined) return { parameter: 'pageToken', value: googleToken };
  const cohereToken = text(fields['next_page_token']);
  return cohereToken === undefined ? undefined : { parameter: 'page_token', value: cohereToken };
}

function readModel(entry: unknown): ModelInfo | undefined {
  const fields = toFields(entry);
  const id = text(fields['id']) ?? text(fields['name']);
  if (id === undefined) return undefined;
  const name = text(fields['display_name']) ?? text(fields['displayName']) ?? text(fields['name']);
  const contextLength = CONTEXT_FIELDS.map((field) => fields[field]).find(isCount);
  const pricing = toFields(fields['pricing']);
  const promptPrice = tokenPrice(pricing['prompt'], pricing['input']);
  const completionPrice = tokenPrice(pricing['completion'], pricing['output']);
  return {
    // Google's names stand below "models/", but are asked for without it.
    id: plainText(id.replace(/^models\//, ''), MAX_NAME),
    ...(name === undefined || name === id ? {} : { name: plainText(name, MAX_NAME) }),
    ...(contextLength === undefined ? {} : { contextLength }),
    ...(promptPrice === undefined ? {} : { promptPrice }),
    ...(completionPrice === undefined ? {} : { completionPrice }),
  };
}

/** Lists the fields for the length of the context: OpenRouter and Together, Groq, Mistral, Google, Anthropic, vLLM. */
const CONTEXT_FIELDS = [
  'context_length',
  'context_window',
  'max_context_length',
  'inputTokenLimit',
  'max_input_tokens',
  'max_model_len',
] as const;

/** Returns dollars for one token: given as such in a text (OpenRouter), or as a number for a million (Together). A negative price is a placeholder. */
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
