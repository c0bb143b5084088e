/**
 * A chat completion as callers ask for it and as they get it. Parameters are OpenAI's, result names
 * are ours.
 */

/** Parameters that aipassd itself reads. */
export interface KnownCompletionParams {
  /** Model to ask. Mandatory: there is no default model. */
  readonly model: string;
  readonly messages: readonly ChatMessage[];
  /** Models that the provider may answer with (OpenRouter), each allowed for the key. */
  readonly models?: readonly string[] | null | undefined;
  /** Provider to ask; without it the configured default. Never passed on. */
  readonly provider?: string | undefined;
  /** Whether deltas are wanted as chunks. */
  readonly stream?: boolean | undefined;
  /** Whom to ask in turn when the provider or its keys fail; else the configured list. */
  readonly fallbacks?: readonly CompletionFallback[] | undefined;
  /** Wait for a free key, in milliseconds; else the provider's setting. Never passed on. */
  readonly maxWaitMs?: number | undefined;
  /** Name under which the call is recorded; else the connection's. Never passed on. */
  readonly caller?: string | undefined;
  /** Session under which the call is recorded; without it the connection's. Never passed on. */
  readonly session?: string | undefined;
  /**
   * Organization whose keys are used, one of the caller's own; its only one, else the default one,
   * without it. Never passed on.
   */
  readonly organization?: string | undefined;
  /** Merged into the body, for names that collide with ours (OpenRouter's own `provider`). */
  readonly extraBody?: Readonly<Record<string, unknown>> | undefined;
}

/**
 * Another model, or another provider, or both; a text is a model of the same provider. What is left
 * out stays as it was asked for.
 */
export type CompletionFallback =
  string | { readonly provider?: string | undefined; readonly model?: string | undefined };

/** OpenAI's chat parameters and ours; what is not named here is passed on as it is. */
export type CompletionParams = KnownCompletionParams & { readonly [parameter: string]: unknown };

/** One message of a chat; content is text or OpenAI's list of parts. */
export interface ChatMessage {
  readonly role: string;
  readonly content?: string | readonly unknown[] | null | undefined;
  readonly [field: string]: unknown;
}

/** Fields by the provider's own names. */
export type ProviderFields = Readonly<Record<string, unknown>>;

/** One piece of a streamed completion. */
export interface CompletionDelta {
  readonly content?: string;
  readonly reasoning?: string;
  readonly refusal?: string;
  readonly toolCalls?: readonly ToolCallDelta[];
  readonly logprobs?: ProviderFields;
  /** Other fields of the delta. */
  readonly extra?: ProviderFields;
  /** Other fields of the choice, where they are new or changed. */
  readonly choiceExtra?: ProviderFields;
  /** Other fields of the chunk, where they are new or changed. */
  readonly answerExtra?: ProviderFields;
}

/**
 * One piece of a tool call; pieces of the same `index` belong together. Other fields of the piece
 * stand beside these, as the provider named them.
 */
export interface ToolCallDelta {
  readonly index: number;
  readonly id?: string;
  /** First piece: `custom` for a custom tool, `builtin_function` for Moonshot's own. */
  readonly type?: string;
  /** Next piece of the name; nearly always all of it. */
  readonly name?: string;
  /** Next piece of the arguments, or of a custom tool's input. */
  readonly arguments?: string;
  readonly [field: string]: unknown;
}

/** A finished completion. */
export interface CompletionResult {
  /** Text of the answer, or null where there is none (a tool call, a refusal). */
  readonly content: string | null;
  /** Tool calls as OpenAI has them: as `tool_calls` of a message they are the next turn. */
  readonly toolCalls: readonly ToolCall[];
  readonly reasoning?: string;
  readonly refusal?: string;
  /** OpenAI's `logprobs` (lists `content` and `refusal`) where they were asked for. */
  readonly logprobs?: ProviderFields;
  /**
   * Other fields of the message, by the provider's names: `annotations`, `images`, `audio`,
   * `reasoning_details`; `content` where it is a list with other parts than texts, `tool_calls` of
   * other kinds than functions. What came in pieces is joined: texts and lists grow, items with the
   * same `index` are one item, objects are joined by field.
   */
  readonly extra?: ProviderFields;
  /** Other fields of the choice, the latest of each: `native_finish_reason`. */
  readonly choiceExtra?: ProviderFields;
  /**
   * Other fields of the answer: `citations`, `system_fingerprint`, `service_tier`, OpenRouter's
   * `provider`. The latest of each; `choices` besides the one that counts are joined.
   */
  readonly answerExtra?: ProviderFields;
  /** The provider's id of this generation. */
  readonly id: string;
  /** Model that answered, as the provider names it. */
  readonly model: string;
  /** Why the answer ended (`stop`, `length`, `tool_calls`, `content_filter`, …). */
  readonly finishReason: string | null;
  /** Null where the provider gave none, which is not the same as zero. */
  readonly usage: CompletionUsage | null;
  readonly provider: string;
  /** Key that paid, by the name of its variable; null for a provider that needs none. */
  readonly keyId: string | null;
  /** Fallback that answered, as it was named; absent where whom the request asked for did. */
  readonly fallback?: { readonly provider: string; readonly model: string };
}

/** A finished tool call, with whatever else the provider put into it (Google's `extra_content`). */
export type ToolCall = FunctionToolCall | CustomToolCall;

/** A call of a function; `arguments` is the JSON text that the model wrote, unparsed. */
export interface FunctionToolCall {
  readonly id: string;
  /** `builtin_function` is Moonshot's own: its answer is the arguments as they are. */
  readonly type: 'function' | 'builtin_function';
  readonly function: { readonly name: string; readonly arguments: string; readonly [field: string]: unknown };
  readonly [field: string]: unknown;
}

/** A call of one of OpenAI's custom tools, whose input is free text. */
export interface CustomToolCall {
  readonly id: string;
  readonly type: 'custom';
  readonly custom: { readonly name: string; readonly input: string; readonly [field: string]: unknown };
  readonly [field: string]: unknown;
}

/** Counts of what a completion used; a count that the provider did not give is absent. */
export interface CompletionUsage {
  /** All tokens of the prompt: those from the cache and those written to it are among them. */
  readonly promptTokens?: number;
  /** All tokens of the answer, reasoning included. */
  readonly completionTokens?: number;
  readonly totalTokens?: number;
  /** Prompt tokens that came from the provider's cache. */
  readonly cachedTokens?: number;
  /** Prompt tokens that were written to the provider's cache. */
  readonly cacheWriteTokens?: number;
  readonly reasoningTokens?: number;
  /** Cost in US dollars, where the provider gives one. */
  readonly costUsd?: number;
  /**
   * Other fields of the usage, by the provider's names, unless they are zero: `queue_time`,
   * `cost_details`. Results of completions only.
   */
  readonly extra?: ProviderFields;
}
