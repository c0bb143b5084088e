/**
 * A paid sample: one completion of a token or two, to prove a key that no free endpoint proves, and to see the limits that
 * only real answers carry. It is recorded as a call.
 */

import { AipassError } from '../base/errors.ts';
import type { Clock } from '../base/clock.ts';
import { readField, readNumber } from '../base/json.ts';
import { redactWith } from '../providers/error-reason.ts';
import { askJson } from '../providers/http.ts';
import { describeRefusal } from '../providers/refusal.ts';
import type { ModelInfo } from '../protocol/provider.ts';
import type { RawEvent } from '../usage/event.ts';
import type { TakeSample } from './credential-usage.ts';

/** Operation under which a sample is recorded. */
export const SAMPLE_OPERATION = 'credential.sample';

/** Most tokens of a sample's answer: the least that every provider accepts. */
const MAX_TOKENS = 16;

/** Names of small models, for providers that list no prices. */
const SMALL_MODEL = /mini|nano|small|haiku|flash|lite|instant|8b|7b/i;

/** Models that do not chat. */
const OTHER_MODEL = /embed|whisper|tts|image|moderation|rerank|audio|dall-e|transcri/i;

/** Returns what a token in and a token out cost together, in US dollars; infinite where no price is listed. */
function priceOf({ promptPrice, completionPrice }: ModelInfo): number {
  return promptPrice === undefined
    ? Number.POSITIVE_INFINITY
    : Number(promptPrice) + Number(completionPrice ?? promptPrice);
}

/** Returns the model that costs least: by price where prices are listed, else a small one by its name. */
export function cheapestModel(models: readonly ModelInfo[]): string | undefined {
  const chats = models.filter(({ id }) => !OTHER_MODEL.test(id));
  const [cheapest] = chats.toSorted((a, b) => priceOf(a) - priceOf(b));
  if (cheapest && Number.isFinite(priceOf(cheapest))) return cheapest.id;
  return (chats.find(({ id }) => SMALL_MODEL.test(id)) ?? chats[0])?.id;
}

/** Makes the function that takes samples and records them. */
export function createSampler(record: (event: RawEvent) => void, clock: Clock): TakeSample {
  return async ({ provider, key, keyId }, models, signal) => {
    const model = cheapestModel(models);
    if (model === undefined) {
      throw new AipassError('NOT_FOUND', `${provider.name} lists no model for a sample`, {
        hint: `name one in the configuration: providers.${provider.name}.models`,
      });
    }
    const body = JSON.stringify({
      model,
      messages: [{ role: 'user', content: 'hi' }],
      max_tokens: MAX_TOKENS,
      stream: false,
    });
    const began = clock.monotonic();
    const request = { method: 'POST', url: `${provider.baseUrl}/chat/completions`, body } as const;
    const answer = await askJson(provider, key, request, signal, clock);
    const latencyMs = Math.round(clock.monotonic() - began);
    const isGood = answer.status >= 200 && answer.status <= 299;
    const usage = readField(answer.body, 'usage');
    const inputTokens = readNumber(usage, 'prompt_tokens') ?? null;
    const outputTokens = readNumber(usage, 'completion_tokens') ?? null;
    record({
      operation: SAMPLE_OPERATION,
      provider: provider.name,
      keyId,
      model,
      status: isGood ? 'success' : answer.status === 429 || answer.status === 402 ? 'reach_limit' : 'failed',
      httpStatus: answer.status,
      latencyMs,
      promptTokens: inputTokens,
      completionTokens: outputTokens,
    });
    if (!isGood) {
      const asked = { provider: provider.name, keyId: null, redact: redactWith(key), now: clock.now() };
      throw describeRefusal(answer, asked);
    }
    return { model, inputTokens, outputTokens, latencyMs, headers: answer.headers };
  };
}
