/**
 * A chat as its caller asks for it. Owns the check of its parameters, whom to ask in which order,
 * and the body that a provider gets. Pure.
 *
 * OpenAI's own parameters are passed on as they are, whatever they are called: only what we read
 * ourselves is checked.
 */

import { z } from 'zod';
import { toRecord } from '../base/json.ts';
import type { CompletionFallback, CompletionParams } from '../protocol/completion.ts';
import { MAX_CALLER_LENGTH, MAX_SESSION_LENGTH } from '../protocol/messages.ts';
import type { Provider } from '../providers/provider.ts';
import { fallbackRoutes } from './forwarding.ts';

/** Completes "model" in a message. */
const NO_DEFAULT_MODEL = 'is mandatory, there is no default model; for example {"model": "openai/gpt-5-mini", …}';

/** Fields that `extraBody` may not set: they would contradict what was checked here. */
const RESERVED = ['model', 'models', 'messages', 'stream', 'n'] as const;

/** The most others that one request may name: each may take its time. */
const MAX_FALLBACKS = 16;

/** Schema of completion parameters. Built at the first completion, because that takes 4 ms. */
export const completionParams: z.ZodType<CompletionParams> = z.lazy(() => {
  const message = z.looseObject({
    role: z.string().min(1),
    content: z.union([z.string(), z.array(z.unknown()), z.null()]).optional(),
  });

  const named = z.string().min(1).max(256);
  const fallbackSchema = z.union([
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

  return z.looseObject({
    model: z.string({ error: NO_DEFAULT_MODEL }).regex(/\S/, NO_DEFAULT_MODEL),
    messages: z
      .array(message, { error: 'has to be a list such as [{"role": "user", "content": "Hello"}]' })
      .min(1, 'is empty: give at least one message'),
    provider: z.string().min(1).max(64).optional(),
    stream: z
      .boolean()
      .nullish()
      .transform((stream) => stream ?? undefined),
    fallbacks: z.array(fallbackSchema).max(MAX_FALLBACKS).optional(),
    maxWaitMs: z.int().min(0).max(3_600_000).optional(),
    caller: z.string().min(1).max(MAX_CALLER_LENGTH).optional(),
    session: z.string().min(1).max(MAX_SESSION_LENGTH).optional(),
    organization: z.string().min(1).max(64).optional(),
    // OpenRouter's own fallbacks: the key has to be allowed for each of them.
    models: z.array(named).max(MAX_FALLBACKS).nullish(),
    extraBody: extraBody.optional(),
    // A result holds one answer; paying for several and dropping all but one would be worse than a
    // refusal.
    n: z.literal(1, { error: 'has to be 1: ask again for another answer' }).nullish(),
  });
});

export interface Route {
  readonly provider: string;
  readonly model: string;
}

/**
 * Returns the routes of a request, each once. Its own fallbacks replace the configured ones, also
 * with an empty list.
 */
export function routesOf(
  params: CompletionParams,
  defaultProvider: string,
  configured: readonly CompletionFallback[],
): readonly [Route, ...Route[]] {
  const first: Route = { provider: params.provider ?? defaultProvider, model: params.model };
  return [first, ...fallbackRoutes(first, params.fallbacks ?? configured)];
}

/** The parameters that are ours and stay here. */
const OWN_PARAMETERS = new Set([
  'provider',
  'extraBody',
  'stream',
  'fallbacks',
  'maxWaitMs',
  'caller',
  'session',
  'organization',
]);

/**
 * Builds the body of a chat request.
 *
 * Whether it is streamed is always sent: some servers stream where it is not. A streamed one asks
 * for its usage where the provider takes that option, unless the caller decided on it;
 * `stream_options: null` leaves the option out.
 */
export function buildRequestBody(
  params: CompletionParams,
  provider: Pick<Provider, 'streamUsageOption'>,
): Record<string, unknown> {
  const body: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(params)) {
    if (!OWN_PARAMETERS.has(name)) body[name] = value;
  }
  Object.assign(body, params.extraBody);
  body['stream'] = params.stream === true;
  if (params.stream !== true) return body;

  if (body['stream_options'] === null) delete body['stream_options'];
  else if (provider.streamUsageOption) {
    body['stream_options'] = { include_usage: true, ...toRecord(body['stream_options']) };
  }
  return body;
}

/**
 * Prints a body. Halves of surrogate pairs are replaced: providers refuse them, and a text cut by
 * length has one easily.
 */
export function printBody(body: Readonly<Record<string, unknown>>): string {
  const text = JSON.stringify(body);
  if (!text.includes('\\ud')) return text;
  return JSON.stringify(body, (_name, value: unknown) => (typeof value === 'string' ? value.toWellFormed() : value));
}
