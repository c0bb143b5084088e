/**
 * Checks the parameters of a completion. OpenAI's own are passed on as they are, whatever they are called: only what we
 * read ourselves is looked at.
 */

import { z } from 'zod';
import type { CompletionParams } from '../protocol/completion.ts';
import { MAX_CALLER_LENGTH } from '../protocol/limits.ts';

/** Completes "model" in a message. */
const NO_DEFAULT_MODEL = 'is mandatory, there is no default model; for example {"model": "openai/gpt-5-mini", …}';

/** What `extraBody` may not set: it would contradict what was checked here. */
const RESERVED = ['model', 'models', 'messages', 'stream', 'n'] as const;

/** The most others that one request may name: each may take its time. */
const MAX_FALLBACKS = 16;

const message = z.looseObject({
  role: z.string().min(1),
  content: z.union([z.string(), z.array(z.unknown()), z.null()]).optional(),
});

const named = z.string().min(1).max(256);
const fallback = z.union([
  named,
  z
    .strictObject({ provider: named.optional(), model: named.optional() })
    .refine(
      ({ provider, model }) => provider !== undefined || model !== undefined,
      'has neither a model nor a provider',
    ),
]);

const extraBody = z.record(z.string(), z.unknown()).superRefine((body, context) => {
  for (const name of RESERVED) {
    if (Object.hasOwn(body, name)) context.addIssue(`may not hold "${name}": it is a parameter of its own`);
  }
});

/** Schema of completion parameters. */
export const completionParams: z.ZodType<CompletionParams> = z.looseObject({
  model: z.string({ error: NO_DEFAULT_MODEL }).regex(/\S/, NO_DEFAULT_MODEL),
  messages: z
    .array(message, { error: 'has to be a list such as [{"role": "user", "content": "Hello"}]' })
    .min(1, 'is empty: give at least one message'),
  provider: z.string().min(1).max(64).optional(),
  stream: z
    .boolean()
    .nullish()
    .transform((stream) => stream ?? undefined),
  fallbacks: z.array(fallback).max(MAX_FALLBACKS).optional(),
  maxWaitMs: z.int().min(0).max(3_600_000).optional(),
  caller: z.string().min(1).max(MAX_CALLER_LENGTH).optional(),
  session: z.string().min(1).max(MAX_CALLER_LENGTH).optional(),
  organization: z.string().min(1).max(64).optional(),
  // OpenRouter's own fallbacks: the key has to be allowed for each of them.
  models: z.array(named).max(MAX_FALLBACKS).nullish(),
  extraBody: extraBody.optional(),
  // A result holds one answer; paying for several and dropping all but one would be worse than a refusal.
  n: z.literal(1, { error: 'has to be 1: ask again for another answer' }).nullish(),
});
