/**
 * Reads OpenRouter's record of a generation: `GET /generation?id=…`. Asking and judging are two functions.
 *
 * Source: openrouter.ai/docs/api-reference/get-a-generation. The record appears some seconds after the answer; until
 * then the provider says 404.
 */

import { z } from 'zod';
import type { Secret } from '../base/secret.ts';
import type { RawEvent } from './event.ts';
import { microDollars } from './micro-dollars.ts';

const ANSWER_LIMIT_MS = 30_000;

/** Bounds the record that is read, in bytes; a real one has some two thousand. */
const MAX_RECORD_BYTES = 256 * 1024;

/** Is what asking for a generation came to. */
export type GenerationOutcome =
  | { readonly kind: 'found'; readonly record: GenerationRecord }
  /** The provider does not know it yet, or for now. Asking again may help. */
  | { readonly kind: 'not-ready'; readonly reason: string }
  /** The provider refused. Asking again is useless. */
  | { readonly kind: 'refused'; readonly status: number };

/** Is what of a generation's record is kept. */
export type GenerationRecord = Pick<
  RawEvent,
  | 'at'
  | 'model'
  | 'promptTokens'
  | 'completionTokens'
  | 'cachedTokens'
  | 'reasoningTokens'
  | 'costMicros'
  | 'latencyMs'
  | 'firstTokenMs'
>;

const count = z.number().nullish().catch(null);
const recordSchema = z.object({
  data: z.object({
    created_at: z.string().nullish().catch(null),
    model: z.string().nullish().catch(null),
    total_cost: z.union([z.number(), z.string()]).nullish().catch(null),
    tokens_prompt: count,
    tokens_completion: count,
    native_tokens_prompt: count,
    native_tokens_completion: count,
    native_tokens_cached: count,
    native_tokens_reasoning: count,
    generation_time: count,
    latency: count,
  }),
});

/** Says where the record is and which key may read it. */
export interface GenerationRequest {
  readonly baseUrl: string;
  readonly key: Secret;
  readonly generationId: string;
  readonly signal: AbortSignal;
}

/** Asks for a generation's record once. Never throws. */
export async function askGeneration(request: GenerationRequest): Promise<GenerationOutcome> {
  const url = new URL(`${request.baseUrl.replace(/\/+$/, '')}/generation`);
  url.searchParams.set('id', request.generationId);
  try {
    const response = await fetch(url, {
      headers: { authorization: `Bearer ${request.key.reveal()}`, accept: 'application/json' },
      signal: AbortSignal.any([request.signal, AbortSignal.timeout(ANSWER_LIMIT_MS)]),
      redirect: 'error',
    });
    return judgeGeneration(response.status, await readBounded(response));
  } catch {
    return { kind: 'not-ready', reason: 'the provider did not answer' };
  }
}

/** Judges the provider's answer; a status that may pass (404 while the record is made, 408, 425, 429, 5xx) is "not ready". */
export function judgeGeneration(status: number, body: string): GenerationOutcome {
  if (status === 404 || status === 408 || status === 425 || status === 429 || status >= 500) {
    return { kind: 'not-ready', reason: `the provider answered with status ${status}` };
  }
  if (status >= 300) return { kind: 'refused', status };
  const parsed = recordSchema.safeParse(parseJson(body));
  if (!parsed.success) return { kind: 'not-ready', reason: 'the provider answered with something that is no record' };
  const { data } = parsed.data;
  const createdAt = Date.parse(data.created_at ?? '');
  return {
    kind: 'found',
    record: {
      ...(Number.isNaN(createdAt) ? {} : { at: createdAt }),
      model: data.model ?? null,
      // What the model's own tokenizer counted is what is billed.
      promptTokens: data.native_tokens_prompt ?? data.tokens_prompt ?? null,
      completionTokens: data.native_tokens_completion ?? data.tokens_completion ?? null,
      cachedTokens: data.native_tokens_cached ?? null,
      reasoningTokens: data.native_tokens_reasoning ?? null,
      costMicros: microDollars(data.total_cost),
      latencyMs: data.generation_time ?? null,
      firstTokenMs: data.latency ?? null,
    },
  };
}

async function readBounded(response: Response): Promise<string> {
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > MAX_RECORD_BYTES) return '';
  }
  return text;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
