/**
 * Reads what a completion used, as providers word it. Pure.
 *
 * A count that is missing or makes no sense is left out, and never taken for zero: a bill depends on it.
 */

import { toFields } from '../providers/json-fields.ts';
import type { CompletionUsage } from '../protocol/completion.ts';

/**
 * Returns the usage in a chunk or in a whole answer, or undefined where there is none.
 *
 * It stands under `usage` (OpenAI and most), in the choice (Moonshot) or under `x_groq` (Groq).
 */
export function readUsage(
  document: Readonly<Record<string, unknown>>,
  choice: Readonly<Record<string, unknown>>,
): CompletionUsage | undefined {
  const found = [document['usage'], choice['usage'], toFields(document['x_groq'])['usage']].find(
    (value) => typeof value === 'object' && value !== null,
  );
  if (found === undefined) return undefined;
  const usage = toFields(found);
  const promptDetails = toFields(usage['prompt_tokens_details']);
  const completionDetails = toFields(usage['completion_tokens_details']);

  const promptTokens = firstCount(usage['prompt_tokens']);
  const completionTokens = firstCount(usage['completion_tokens']);
  const totalTokens = firstCount(usage['total_tokens']);
  // DeepSeek and Moonshot have names of their own for the cached part.
  const cachedTokens = firstCount(
    promptDetails['cached_tokens'],
    usage['prompt_cache_hit_tokens'],
    usage['cached_tokens'],
  );
  const reasoningTokens = firstCount(completionDetails['reasoning_tokens'], usage['reasoning_tokens']);
  // OpenRouter gives dollars, Perplexity a document of dollars.
  const costUsd = firstAmount(usage['cost'], toFields(usage['cost'])['total_cost']);
  return {
    ...(promptTokens === undefined ? {} : { promptTokens }),
    ...(completionTokens === undefined ? {} : { completionTokens }),
    ...(totalTokens === undefined ? {} : { totalTokens }),
    ...(cachedTokens === undefined ? {} : { cachedTokens }),
    ...(reasoningTokens === undefined ? {} : { reasoningTokens }),
    ...(costUsd === undefined ? {} : { costUsd }),
  };
}

function firstCount(...values: readonly unknown[]): number | undefined {
  return values.find((value): value is number => Number.isSafeInteger(value) && Number(value) >= 0);
}

function firstAmount(...values: readonly unknown[]): number | undefined {
  return values.find((value): value is number => typeof value === 'number' && Number.isFinite(value) && value >= 0);
}
