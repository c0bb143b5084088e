/**
 * Judges what OpenRouter answers when it is asked for its record of a generation. Pure; providers/generation.ts asks.
 *
 * Source: openrouter.ai/docs/api-reference/get-a-generation. The record appears some seconds after the answer; until
 * then the provider says 404.
 */

import { z } from 'zod';
import type { RawEvent } from './event.ts';
import { microDollars } from './micro-dollars.ts';

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

/** Judges an answer, its body parsed as JSON; a status that may pass (404 while the record is made, 408, 425, 429, 5xx) is "not ready". */
export function judgeGeneration(answer: { readonly status: number; readonly body: unknown }): GenerationOutcome {
  const { status, body } = answer;
  if (status === 404 || status === 408 || status === 425 || status === 429 || status >= 500) {
    return { kind: 'not-ready', reason: `the provider answered with status ${status}` };
  }
  if (status >= 300) return { kind: 'refused', status };
  const parsed = recordSchema.safeParse(body);
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
