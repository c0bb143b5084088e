/**
 * Folds the chunks of a streamed answer, or one whole answer, into a result. Pure.
 *
 * Only the first choice counts: params.ts lets nobody ask for more. Providers differ in where they put usage and
 * reasoning; what is not known is skipped.
 */

import type { CompletionDelta, CompletionResult, CompletionUsage } from '../protocol/completion.ts';
import { readText, toFields } from '../providers/json-fields.ts';
import { ErrorInAnswer, GarbageAnswer } from './failure.ts';
import { JoinedFields } from './joined-fields.ts';
import { ToolCallAssembly } from './tool-calls.ts';
import { readUsage } from './usage-counts.ts';

/** Is a result before it is known who is told of it. */
export type AssembledCompletion = Omit<CompletionResult, 'provider' | 'keyId'>;

/** Names the fields of a message that have a place of their own in a result. */
const PLACED = ['role', 'content', 'reasoning', 'reasoning_content', 'refusal', 'tool_calls'];

/** Collects one answer. */
export class Assembly {
  readonly #tools = new ToolCallAssembly();
  readonly #logprobs = new JoinedFields();
  readonly #extra = new JoinedFields(PLACED);
  #content: string | null = null;
  #reasoning = '';
  #refusal = '';
  #id = '';
  #model = '';
  #finishReason: string | null = null;
  #usage: CompletionUsage | null = null;
  #hasChoice = false;

  /** Returns what is known of the answer so far, whether it will be finished or not. */
  get seen(): { readonly id: string | null; readonly model: string | null; readonly usage: CompletionUsage | null } {
    return { id: this.#id || null, model: this.#model || null, usage: this.#usage };
  }

  /** Tells whether the answer gave a reason for its end: all of its content is there then. */
  get isFinished(): boolean {
    return this.#finishReason !== null;
  }

  /**
   * Takes one chunk and returns what is new in it, or undefined where that is nothing.
   *
   * @throws ErrorInAnswer for a chunk that holds an error, GarbageAnswer for one that is no object.
   */
  addChunk(chunk: unknown): CompletionDelta | undefined {
    return this.#add(chunk, 'delta');
  }

  /** Takes one whole answer, and returns and throws as `addChunk` does. */
  addWhole(document: unknown): CompletionDelta | undefined {
    return this.#add(document, 'message');
  }

  /**
   * Returns the result.
   *
   * @param sawEnd tells whether the answer ended with the mark for it (`[DONE]`).
   * @throws GarbageAnswer where there was no choice at all, or neither a reason for the end nor the mark for it.
   */
  finish(requestedModel: string, sawEnd: boolean): AssembledCompletion {
    if (!this.#hasChoice) throw new GarbageAnswer('an answer that holds no choice');
    if (this.#finishReason === null && !sawEnd) throw new GarbageAnswer('a stream that ended early');
    const logprobs = this.#logprobs.finish();
    const extra = this.#extra.finish();
    return {
      content: this.#content,
      toolCalls: this.#tools.finish(),
      ...(this.#reasoning === '' ? {} : { reasoning: this.#reasoning }),
      ...(this.#refusal === '' ? {} : { refusal: this.#refusal }),
      ...(logprobs && { logprobs }),
      ...(extra && { extra }),
      id: this.#id,
      model: this.#model === '' ? requestedModel : this.#model,
      finishReason: this.#finishReason,
      usage: this.#usage,
    };
  }

  #add(document: unknown, part: 'delta' | 'message'): CompletionDelta | undefined {
    if (typeof document !== 'object' || document === null) throw new GarbageAnswer('JSON that is no completion');
    const fields = toFields(document);
    if (fields['error']) throw new ErrorInAnswer(fields['error']);
    const choices = Array.isArray(fields['choices']) ? fields['choices'].map(toFields) : [];
    const choice = choices.find((one) => (one['index'] ?? 0) === 0);
    this.#id ||= readText(fields['id']);
    this.#model ||= readText(fields['model']);
    // A later usage replaces an earlier one: providers that send several count up.
    this.#usage = readUsage(fields, choice ?? {}) ?? this.#usage;
    if (!choice) return undefined;

    this.#hasChoice = true;
    if (choice['error'] || choice['finish_reason'] === 'error') {
      throw new ErrorInAnswer(choice['error'] || 'the answer broke off with the finish reason "error"');
    }
    this.#finishReason = readText(choice['finish_reason']) || this.#finishReason;
    return this.#addMessage(toFields(choice[part]), this.#logprobs.add(toFields(choice['logprobs'])));
  }

  #addMessage(
    message: Readonly<Record<string, unknown>>,
    logprobs: CompletionDelta['logprobs'],
  ): CompletionDelta | undefined {
    const { text, thought } = readContent(message['content']);
    const reasoning = readText(message['reasoning']) || readText(message['reasoning_content']) || thought;
    const refusal = readText(message['refusal']);
    const toolCalls = Array.isArray(message['tool_calls']) ? this.#tools.add(message['tool_calls']) : [];
    const extra = this.#extra.add(message);

    if (text !== undefined) this.#content = (this.#content ?? '') + text;
    this.#reasoning += reasoning;
    this.#refusal += refusal;
    const delta: CompletionDelta = {
      ...(text === undefined || text === '' ? {} : { content: text }),
      ...(reasoning === '' ? {} : { reasoning }),
      ...(refusal === '' ? {} : { refusal }),
      ...(toolCalls.length === 0 ? {} : { toolCalls }),
      ...(logprobs && { logprobs }),
      ...(extra && { extra }),
    };
    return Object.keys(delta).length === 0 ? undefined : delta;
  }
}

/** Reads content that is a text or, at Mistral's reasoning models, a list of parts: `{type: "text", text}` and `{type: "thinking", thinking: [parts]}`. */
function readContent(content: unknown): { readonly text: string | undefined; readonly thought: string } {
  if (typeof content === 'string') return { text: content, thought: '' };
  if (!Array.isArray(content)) return { text: undefined, thought: '' };
  const parts = content.map(toFields);
  const text = parts.map((part) => readText(part['text'])).join('');
  const thought = parts.map((part) => readContent(part['thinking']).text ?? '').join('');
  return { text, thought };
}
