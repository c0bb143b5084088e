/**
 * A chat completion as callers ask for it and as they get it. Parameters are OpenAI's, result names are ours.
 */

/** Is the parameters that aipassd itself looks at. */
export interface KnownCompletionParams {
  /** Is the model to ask. Mandatory: there is no default model. */
  readonly model: string;
  readonly messages: readonly ChatMessage[];
  /** Is the provider to ask; without it the configured default. Never passed on. */
  readonly provider?: string | undefined;
  /** Tells whether deltas are wanted as chunks. */
  readonly stream?: boolean | undefined;
  /** Lists whom to ask when the provider or its keys fail, in this order; without it the configured list. Never passed on. */
  readonly fallbacks?: readonly CompletionFallback[] | undefined;
  /** Is how long to wait for a key where none is free, in milliseconds; without it the provider's setting. Never passed on. */
  readonly maxWaitMs?: number | undefined;
  /** Is merged into the body as it is, for names that collide with ours (OpenRouter's own `provider`). Never passed on itself. */
  readonly extraBody?: Readonly<Record<string, unknown>> | undefined;
}

/** Is another model, or another provider, or both; a text is a model of the same provider. What is left out stays as it was asked for. */
export type CompletionFallback =
  string | { readonly provider?: string | undefined; readonly model?: string | undefined };

/** Is OpenAI's chat parameters in full, and ours; what is not named here is passed on to the provider as it is. */
export type CompletionParams = KnownCompletionParams & { readonly [parameter: string]: unknown };

/** Is one message of a chat; content is text or OpenAI's list of parts. */
export interface ChatMessage {
  readonly role: string;
  readonly content?: string | readonly unknown[] | null | undefined;
  readonly [field: string]: unknown;
}

/** Is one piece of a streamed completion. */
export interface CompletionDelta {
  readonly content?: string;
  readonly reasoning?: string;
  readonly refusal?: string;
  readonly toolCalls?: readonly ToolCallDelta[];
  readonly logprobs?: Readonly<Record<string, unknown>>;
  readonly extra?: Readonly<Record<string, unknown>>;
}

/** Is one piece of a tool call; pieces of the same `index` belong together. */
export interface ToolCallDelta {
  readonly index: number;
  readonly id?: string;
  readonly name?: string;
  readonly arguments?: string;
}

/** Is a finished completion. */
export interface CompletionResult {
  /** Is the text of the answer, or null where there is none (a tool call, a refusal). */
  readonly content: string | null;
  readonly toolCalls: readonly ToolCall[];
  readonly reasoning?: string;
  readonly refusal?: string;
  /** Is OpenAI's `logprobs` (lists `content` and `refusal`) where they were asked for. */
  readonly logprobs?: Readonly<Record<string, unknown>>;
  /**
   * Holds what else the provider put into the message, by its own names: `annotations`, `images`, `reasoning_details`.
   * Lists that came in pieces are joined; of anything else the last piece is there.
   */
  readonly extra?: Readonly<Record<string, unknown>>;
  /** Is the provider's id of this generation. */
  readonly id: string;
  /** Is the model that answered, as the provider names it. */
  readonly model: string;
  /** Is why the answer ended (`stop`, `length`, `tool_calls`, `content_filter`, …). */
  readonly finishReason: string | null;
  /** Is null where the provider gave none, which is not the same as zero. */
  readonly usage: CompletionUsage | null;
  readonly provider: string;
  /** Is the key that paid, by the name of its variable; null for a provider that needs none. */
  readonly keyId: string | null;
  /** Is the fallback that answered, as it was named; absent where whom the request asked for did. */
  readonly fallback?: { readonly provider: string; readonly model: string };
}

/** Is one finished tool call; `arguments` is the JSON text that the model wrote, unparsed. */
export interface ToolCall {
  readonly id: string;
  readonly type: 'function';
  readonly function: { readonly name: string; readonly arguments: string };
}

/** Counts what a completion used; a count that the provider did not give is absent. */
export interface CompletionUsage {
  readonly promptTokens?: number;
  readonly completionTokens?: number;
  readonly totalTokens?: number;
  /** Prompt tokens that came from the provider's cache. */
  readonly cachedTokens?: number;
  /** Prompt tokens that were written to the provider's cache. */
  readonly cacheWriteTokens?: number;
  readonly reasoningTokens?: number;
  /** Is what it cost, in US dollars, where the provider says so. */
  readonly costUsd?: number;
}
