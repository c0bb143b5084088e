/**
 * Checks the parameters of a completion. OpenAI's own are passed on as they are, whatever they are called: only what we
 * read ourselves is looked at.
 */

import { z } from 'zod';
import type { CompletionParams } from '../protocol/completion.ts';

/** Completes "model" in a message. */
const NO_DEFAULT_MODEL = 'is mandatory, there is no default model; for example {"model": "openai/gpt-5-mini", …}';

/** Lists what `extraBody` may not set: it would contradict what was checked here. */
const RESERVED = ['model', 'messages', 'stream'] as const;

const message = z.looseObject({
  role: z.string().min(1),
  content: z.union([z.string(), z.array(z.unknown()), z.null()]).optional(),
});

const extraBody = z.record(z.string(), z.unknown()).superRefine((body, context) => {
  for (const name of RESERVED) {
    if (Object.hasOwn(body, name)) context.addIssue(`may not hold "${name}": it is a parameter of its own`);
  }
});

/** Is the schema of completion parameters. */
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
  extraBody: extraBody.optional(),
  // A result holds one answer; paying for several and dropping all but one would be worse than a refusal.
  n: z.literal(1, { error: 'has to be 1: ask again for another answer' }).nullish(),
});
