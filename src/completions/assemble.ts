/**
 * Folds the chunks of a streamed chat, or one whole answer, into a result. Pure.
 *
 * Nothing of an answer is lost. A field that is not known here, or has an unknown shape, keeps its
 * own name and its place. That holds for the answer, the choice, the message, a tool call and the
 * usage, streamed and in the result. Only what must be joined is joined: see `joinValue`.
 *
 * One choice counts: chat-request.ts lets nobody ask for more. Some servers cut it into several
 * choices of one number (the text in one, the tool calls in the next). Choices of other numbers are
 * fields that are not known.
 */

import { isRecord, parseJson, toRecord, type JsonObject } from '../base/json.ts';
import type {
  CompletionDelta,
  CompletionResult,
  CompletionUsage,
  CustomToolCall,
  FunctionToolCall,
  ToolCall,
  ToolCallDelta,
} from '../protocol/completion.ts';
import { AnswerSummary, errorIn } from './dialects.ts';
import { ExchangeFailure } from '../providers/http-exchange.ts';
import { ErrorInAnswer } from './failure.ts';

/** A result before provider and key are added. */
export type AssembledCompletion = Omit<CompletionResult, 'provider' | 'keyId'>;

/**
 * Fields that have a place of their own in a result, or do not concern it, with the shape that is
 * read.
 */
type KnownFields = ReadonlyMap<string, IsRead>;

/** Returns whether a field has the shape that is read. */
type IsRead = (value: unknown) => boolean;

const anything = (): boolean => true;
const isText = (value: unknown): value is string => typeof value === 'string';

/** Lists fields that may have any shape, and others with the one that is read. */
function fieldsOf(names: readonly string[], shaped: Readonly<Record<string, IsRead>> = {}): KnownFields {
  return new Map([...names.map((name): [string, IsRead] => [name, anything]), ...Object.entries(shaped)]);
}

const KNOWN_OF_ANSWER = fieldsOf(['id', 'object', 'created', 'model', 'choices', 'usage', 'error']);
const KNOWN_OF_CHOICE = fieldsOf(['index', 'usage', 'error'], {
  delta: isRecord,
  message: isRecord,
  finish_reason: isText,
  logprobs: isRecord,
});
const KNOWN_OF_MESSAGE = fieldsOf(['role'], {
  content: isPlainContent,
  reasoning: isText,
  reasoning_content: isText,
  refusal: isText,
  tool_calls: Array.isArray,
});
const KNOWN_OF_CALL = fieldsOf(['index', 'id', 'type'], { function: isRecord, custom: isRecord });
const KNOWN_OF_FUNCTION = fieldsOf(['arguments', 'input'], { name: isText });
const NOTHING_KNOWN = fieldsOf([]);

export class Assembly {
  readonly #summary = new AnswerSummary('openai');
  readonly #tools = new ToolCallAssembly();
  readonly #answer = new UnknownFields(KNOWN_OF_ANSWER, 'latest');
  readonly #choice = new UnknownFields(KNOWN_OF_CHOICE, 'latest');
  readonly #message = new UnknownFields(KNOWN_OF_MESSAGE, 'joined');
  /** Fields of a message that stands beside a delta and grows with each chunk. */
  readonly #besideDelta = new UnknownFields(KNOWN_OF_MESSAGE, 'latest');
  readonly #logprobs = new UnknownFields(NOTHING_KNOWN, 'joined');
  readonly #otherChoices = new UnknownFields(NOTHING_KNOWN, 'joined');
  /** Number of the choice that counts; undefined before the first one. */
  #choiceIndex: number | undefined;
  #content: string | null = null;
  #reasoning = '';
  #refusal = '';
  #finishReason: string | null = null;
  #hasChoice = false;

  /** Summary of the answer so far, whether it will be finished or not. */
  get seen(): { readonly id: string | null; readonly model: string | null; readonly usage: CompletionUsage | null } {
    return this.#summary.seen;
  }

  /** Whether the answer gave a reason for its end: all of its content is there then. */
  get isFinished(): boolean {
    return this.#finishReason !== null;
  }

  /**
   * Takes one chunk and returns what is new in it, or undefined where that is nothing.
   *
   * @throws ErrorInAnswer for a chunk that holds an error, ExchangeFailure for one that is not an
   * object.
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
   * @param sawEnd whether the answer ended with the mark for it (`[DONE]`).
   * @throws ExchangeFailure where there was no choice at all, or neither a reason for the end nor
   * the mark for it.
   */
  finish(requestedModel: string, sawEnd: boolean): AssembledCompletion {
    if (!this.#hasChoice) throw new ExchangeFailure('garbage', 'an answer that holds no choice');
    if (this.#finishReason === null && !sawEnd) throw new ExchangeFailure('garbage', 'a stream that ended early');
    const { id, model, usage } = this.#summary.seen;
    const logprobs = this.#logprobs.finish();
    const extra = merge(this.#besideDelta.finish(), this.#message.finish());
    const choiceExtra = this.#choice.finish();
    const answerExtra = merge(this.#answer.finish(), this.#otherChoices.finish());
    const usageExtra = this.#summary.unreadUsage;
    return {
      content: this.#content,
      toolCalls: this.#tools.finish(),
      ...(this.#reasoning === '' ? {} : { reasoning: this.#reasoning }),
      ...(this.#refusal === '' ? {} : { refusal: this.#refusal }),
      ...(logprobs && { logprobs }),
      ...(extra && { extra }),
      ...(choiceExtra && { choiceExtra }),
      ...(answerExtra && { answerExtra }),
      id: id ?? '',
      model: model ?? requestedModel,
      finishReason: this.#finishReason,
      usage: usage && usageExtra ? { ...usage, extra: usageExtra } : usage,
    };
  }

  #add(document: unknown, part: 'delta' | 'message'): CompletionDelta | undefined {
    if (typeof document !== 'object' || document === null)
      throw new ExchangeFailure('garbage', 'JSON that is not a completion');
    const fields = toRecord(document);
    const error = errorIn(fields);
    if (error !== undefined) throw new ErrorInAnswer(error);
    this.#summary.add(fields);
    const choices = Array.isArray(fields['choices']) ? fields['choices'].map(toRecord) : [];
    if (part === 'message' && choices.length === 0) throwReason(fields);
    const indexes = choices.map((choice) => readIndex(choice['index'] ?? 0));
    this.#choiceIndex ??= indexes.includes(0) ? 0 : indexes[0];
    const ours = choices.filter((_, at) => indexes[at] === this.#choiceIndex);
    const others = choices.filter((_, at) => indexes[at] !== this.#choiceIndex);
    const answerExtra = merge(
      this.#answer.add(fields),
      others.length === 0 ? undefined : this.#otherChoices.add({ choices: others }),
    );
    let delta: CompletionDelta = answerExtra ? { answerExtra } : {};
    for (const choice of ours) delta = mergeDeltas(delta, this.#addChoice(choice, part));
    return Object.keys(delta).length === 0 ? undefined : delta;
  }

  #addChoice(choice: JsonObject, part: 'delta' | 'message'): CompletionDelta {
    this.#hasChoice = true;
    this.#finishReason = readText(choice['finish_reason']) || this.#finishReason;
    const choiceExtra = this.#choice.add(choice);
    // Some servers send a message where a delta belongs, or the other way round.
    const message = toRecord(choice[part] ?? choice[part === 'delta' ? 'message' : 'delta']);
    const delta = this.#addMessage(message, this.#logprobs.add(toRecord(choice['logprobs'])), part === 'message');
    const beside = part === 'delta' && isRecord(choice['delta']) && isRecord(choice['message']);
    const extra = merge(beside ? this.#besideDelta.add(toRecord(choice['message'])) : undefined, delta.extra);
    return { ...delta, ...(extra && { extra }), ...(choiceExtra && { choiceExtra }) };
  }

  #addMessage(message: JsonObject, logprobs: CompletionDelta['logprobs'], isWhole: boolean): CompletionDelta {
    const { text, thought } = readContent(message['content']);
    const reasoning = readText(message['reasoning']) || readText(message['reasoning_content']) || thought;
    const refusal = readText(message['refusal']);
    const calls = Array.isArray(message['tool_calls']) ? this.#tools.add(message['tool_calls'], isWhole) : undefined;
    const toolCalls = calls?.deltas ?? [];
    const unread = {
      // Calls of a kind that is not known here are not ours to put together.
      ...(calls && calls.others.length > 0 ? { tool_calls: calls.others } : {}),
      ...(reasoning !== '' && isOther(message['reasoning_content'], reasoning)
        ? { reasoning_content: message['reasoning_content'] }
        : {}),
    };
    const extra = merge(this.#message.add(message), this.#message.addAll(unread));

    if (text !== undefined) this.#content = (this.#content ?? '') + text;
    this.#reasoning += reasoning;
    this.#refusal += refusal;
    return {
      ...(text === undefined || text === '' ? {} : { content: text }),
      ...(reasoning === '' ? {} : { reasoning }),
      ...(refusal === '' ? {} : { refusal }),
      ...(toolCalls.length === 0 ? {} : { toolCalls }),
      ...(logprobs && { logprobs }),
      ...(extra && { extra }),
    };
  }
}

/**
 * Throws the reason that a whole answer without a choice gives: some services report a failure with
 * status 200 and the words beside it.
 */
function throwReason(answer: JsonObject): void {
  const said = [answer['message'], answer['detail'], answer['msg'], answer['error_msg'], answer['error_message']];
  const message = said.find((text) => typeof text === 'string' && text !== '');
  if (message !== undefined) throw new ErrorInAnswer({ ...answer, message });
}

function isOther(text: unknown, than: string): boolean {
  return typeof text === 'string' && text !== '' && text !== than;
}

function merge(one: JsonObject | undefined, other: JsonObject | undefined): JsonObject | undefined {
  return one && other ? { ...one, ...other } : (one ?? other);
}

/** Puts together what two choices of one number add. */
function mergeDeltas(one: CompletionDelta, other: CompletionDelta): CompletionDelta {
  if (Object.keys(one).length === 0) return other;
  const texts = (['content', 'reasoning', 'refusal'] as const).flatMap((name) => {
    const text = (one[name] ?? '') + (other[name] ?? '');
    return text === '' ? [] : [[name, text]];
  });
  const toolCalls = [...(one.toolCalls ?? []), ...(other.toolCalls ?? [])];
  const records = (['logprobs', 'extra', 'choiceExtra'] as const).flatMap((name) => {
    const merged = merge(one[name], other[name]);
    return merged === undefined ? [] : [[name, merged]];
  });
  return {
    ...one,
    ...other,
    ...Object.fromEntries([...texts, ...records]),
    ...(toolCalls.length === 0 ? {} : { toolCalls }),
  };
}

/**
 * Reads content that is a text or, at Mistral's reasoning models, a list of parts: `{type: "text",
 * text}` and `{type: "thinking", thinking: [parts]}`.
 */
function readContent(content: unknown): { readonly text: string | undefined; readonly thought: string } {
  if (typeof content === 'string') return { text: content, thought: '' };
  if (!Array.isArray(content)) return { text: undefined, thought: '' };
  const parts = content.map((part: unknown) => (typeof part === 'string' ? { text: part } : toRecord(part)));
  const text = parts.map((part) => readText(part['text'])).join('');
  const thought = parts.map((part) => readContent(part['thinking']).text ?? '').join('');
  return { text, thought };
}

const PLAIN_PART = new Set(['type', 'text', 'thinking']);

/** Returns whether content holds nothing but what `readContent` reads. */
function isPlainContent(content: unknown): boolean {
  if (typeof content === 'string') return true;
  if (!Array.isArray(content)) return false;
  return content.every(
    (part: unknown) =>
      typeof part === 'string' ||
      (isRecord(part) &&
        Object.keys(part).every((name) => PLAIN_PART.has(name)) &&
        (typeof part['text'] === 'string' || isPlainContent(part['thinking']))),
  );
}

/**
 * Collects the fields of one place that are not known. Those of a message come in pieces and are
 * joined. Those of the answer and of the choice come whole, in every chunk anew, and the latest
 * counts.
 */
class UnknownFields {
  readonly #known: KnownFields;
  readonly #rule: 'joined' | 'latest';
  readonly #collected = new Map<string, unknown>();
  readonly #printed = new Map<string, string>();

  constructor(known: KnownFields, rule: 'joined' | 'latest') {
    this.#known = known;
    this.#rule = rule;
  }

  /** Takes one piece, and returns what is new in it, or undefined where that is nothing. */
  add(piece: JsonObject): JsonObject | undefined {
    return this.#add(piece, (name, value) => this.#known.get(name)?.(value) !== true);
  }

  /** Takes fields that are known, but not this time. */
  addAll(piece: JsonObject): JsonObject | undefined {
    return this.#add(piece, anything);
  }

  /** Takes those fields of a piece that were not there yet. */
  addNew(piece: JsonObject): JsonObject | undefined {
    return this.#add(piece, (name, value) => !this.#collected.has(name) && this.#known.get(name)?.(value) !== true);
  }

  #add(piece: JsonObject, isTaken: (name: string, value: unknown) => boolean): JsonObject | undefined {
    let found: [string, unknown][] | undefined;
    for (const name of Object.keys(piece)) {
      const value = piece[name];
      if (isNothing(value) || !isTaken(name, value)) continue;
      if (this.#rule === 'joined') this.#collected.set(name, joinValue(name, this.#collected.get(name), value));
      else {
        const printed = JSON.stringify(value);
        if (this.#printed.get(name) === printed) continue;
        this.#printed.set(name, printed);
        this.#collected.set(name, value);
      }
      (found ??= []).push([name, value]);
    }
    return found && Object.fromEntries(found);
  }

  /** Returns all of it, or undefined where there was nothing. */
  finish(): JsonObject | undefined {
    return this.#collected.size === 0 ? undefined : Object.fromEntries(this.#collected);
  }
}

/** Names of texts that are not pieces: each one replaces the one before it. */
const WHOLE_TEXTS = new Set([
  'id',
  'type',
  'role',
  'name',
  'format',
  'object',
  'status',
  'mime_type',
  'url',
  'title',
  'finish_reason',
  'thought_signature',
]);

/**
 * Joins a piece of a field to what came before it. Texts grow (but for names of things,
 * WHOLE_TEXTS), and lists grow. Items with the same `index` are one item, and objects are joined
 * field by field. Of anything else the last one counts. Null, and an empty list or text, are
 * ignored.
 */
function joinValue(name: string, before: unknown, piece: unknown): unknown {
  if (before === undefined || before === null) return Array.isArray(piece) ? joinItems([], piece) : piece;
  if (isNothing(piece)) return before;
  if (typeof piece === 'string' && typeof before === 'string') return WHOLE_TEXTS.has(name) ? piece : before + piece;
  if (Array.isArray(piece)) return Array.isArray(before) ? joinItems(before, piece) : piece;
  if (typeof piece === 'object' && typeof before === 'object' && piece !== null && !Array.isArray(before)) {
    const joined = new Map<string, unknown>(Object.entries(before));
    for (const [field, value] of Object.entries(piece)) joined.set(field, joinValue(field, joined.get(field), value));
    return Object.fromEntries(joined);
  }
  return piece;
}

function joinItems(before: readonly unknown[], pieces: readonly unknown[]): unknown[] {
  const joined = [...before];
  for (const piece of pieces) {
    const index = toRecord(piece)['index'];
    const at = typeof index === 'number' ? joined.findIndex((item) => toRecord(item)['index'] === index) : -1;
    if (at === -1) joined.push(piece);
    else joined[at] = joinValue('', joined[at], piece);
  }
  return joined;
}

function isNothing(value: unknown): boolean {
  return value === null || value === undefined || value === '' || (Array.isArray(value) && value.length === 0);
}

function readText(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

interface OpenCall {
  id: string;
  /**
   * `custom` for OpenAI's tools that take free text, `builtin_function` for those that Moonshot has
   * itself.
   */
  type: ToolCall['type'];
  name: string;
  text: string;
  /** Fields that are not known, of the call and of its function. */
  readonly extra: UnknownFields;
  readonly innerExtra: UnknownFields;
}

/** Kinds of calls that are put together here; without a kind, it is that of a function. */
const KINDS_OF_CALL: ReadonlySet<unknown> = new Set(['function', 'builtin_function', 'custom', '', undefined, null]);

/**
 * Puts tool calls together from their pieces, streamed or whole.
 *
 * OpenAI numbers the calls with `index`. Others leave it out, or send every call of one answer as
 * number 0. Then a new id with a name begins a new call. So does a name after arguments that are
 * complete. Our own numbers are dense and in order of appearance.
 */
export class ToolCallAssembly {
  readonly #calls: OpenCall[] = [];
  readonly #slotOfIndex = new Map<number, number>();
  /** Numbers of calls of another kind. */
  readonly #otherIndexes = new Set<number>();

  /**
   * Takes the pieces of one chunk and returns what is new in them. Also returns the pieces of calls
   * of a kind that is not known (a provider's own search), which are not for the caller to answer.
   *
   * @param isWhole whether they are whole calls, as in an answer that is not streamed. Then each is
   * a call of its own, although some servers give all of them one id or one number.
   */
  add(
    pieces: readonly unknown[],
    isWhole = false,
  ): { readonly deltas: readonly ToolCallDelta[]; readonly others: readonly JsonObject[] } {
    const records = pieces.map(toRecord);
    const others = records.filter((piece) => this.#isOther(piece));
    const deltas = records.flatMap((piece) => (others.includes(piece) ? [] : [this.#addPiece(piece, isWhole)]));
    return { deltas, others };
  }

  /**
   * Returns the finished calls. A provider without ids gets some: the answer to a call has to name
   * it.
   */
  finish(): ToolCall[] {
    return this.#calls.map((call, slot): ToolCall => {
      const id = call.id === '' ? `call_${slot}` : call.id;
      const inner = call.innerExtra.finish();
      const extra = call.extra.finish();
      if (call.type === 'custom') {
        const custom: CustomToolCall['custom'] = { name: call.name, input: call.text, ...inner };
        return { id, type: 'custom', custom, ...extra };
      }
      const named: FunctionToolCall['function'] = { name: call.name, arguments: call.text, ...inner };
      return { id, type: call.type, function: named, ...extra };
    });
  }

  #isOther(piece: JsonObject): boolean {
    if (isRecord(piece['function']) || isRecord(piece['custom'])) return false;
    const index = readIndex(piece['index']);
    if (KINDS_OF_CALL.has(piece['type'])) return index !== undefined && this.#otherIndexes.has(index);
    if (index !== undefined) this.#otherIndexes.add(index);
    return true;
  }

  #addPiece(piece: JsonObject, isWhole: boolean): ToolCallDelta {
    const called = toRecord(piece['function'] ?? piece['custom']);
    const id = readText(piece['id']);
    const name = readText(called['name']);
    const text = readArguments(called['arguments'] ?? called['input']);

    const slot = isWhole ? this.#open() : this.#slotFor(readIndex(piece['index']), id, name, text);
    const call = this.#calls[slot];
    if (!call) return { index: slot };
    if (isRepetition(call, id, name, text)) return { index: slot, ...call.extra.addNew(piece) };
    const isNew = call.name === '' && call.text === '' && call.id === '';
    const newId = id !== '' && call.id === '';
    if (newId) call.id = id;
    if (isNew && (piece['type'] === 'custom' || piece['custom'] !== undefined)) call.type = 'custom';
    if (isNew && piece['type'] === 'builtin_function') call.type = 'builtin_function';
    const newName = nextOfName(call, name);
    call.name += newName;
    call.text += text;
    const extra = call.extra.add(piece);
    const innerExtra = call.innerExtra.add(called);
    return {
      index: slot,
      ...(newId ? { id } : {}),
      ...(isNew && call.type !== 'function' ? { type: call.type } : {}),
      ...(newName === '' ? {} : { name: newName }),
      ...(text === '' ? {} : { arguments: text }),
      ...(innerExtra && { [call.type === 'custom' ? 'custom' : 'function']: innerExtra }),
      ...extra,
    };
  }

  #slotFor(index: number | undefined, id: string, name: string, text: string): number {
    if (index === undefined) {
      const known = id === '' ? -1 : this.#calls.findLastIndex((call) => call.id === id);
      const knownCall = this.#calls[known];
      if (knownCall) return beginsAnother(knownCall, id, name, text) ? this.#open() : known;
      const last = this.#calls.length - 1;
      return last === -1 || id !== '' || name !== '' ? this.#open() : last;
    }
    const slot = this.#slotOfIndex.get(index);
    const open = slot === undefined ? undefined : this.#calls[slot];
    if (slot !== undefined && open && !beginsAnother(open, id, name, text)) return slot;
    const bound = slot === undefined ? this.#slotWithoutIndex(index, id, name) : undefined;
    const found = bound ?? this.#open();
    this.#slotOfIndex.set(index, found);
    return found;
  }

  /** Returns the call that began without a number and goes on with this one. */
  #slotWithoutIndex(index: number, id: string, name: string): number | undefined {
    const bound = new Set(this.#slotOfIndex.values());
    const isFree = (slot: number): boolean => slot >= 0 && slot < this.#calls.length && !bound.has(slot);
    const slots = id === '' ? [index, this.#calls.length - 1] : [this.#calls.findLastIndex((call) => call.id === id)];
    return name === '' ? slots.find(isFree) : undefined;
  }

  #open(): number {
    return (
      this.#calls.push({
        id: '',
        type: 'function',
        name: '',
        text: '',
        extra: new UnknownFields(KNOWN_OF_CALL, 'joined'),
        innerExtra: new UnknownFields(KNOWN_OF_FUNCTION, 'joined'),
      }) - 1
    );
  }
}

/**
 * Returns whether a piece under the number or the id of an open call is the first of another one.
 */
function beginsAnother(open: OpenCall, id: string, name: string, text: string): boolean {
  if (name === '') return false;
  if (id !== '' && open.id !== '' && open.id !== id) return true;
  if (id !== '' && open.id === '') return false;
  // Whole calls, one after the other, all with the same number or the same id.
  return isComplete(open) && (id === '' || (text !== '' && !isRepetition(open, id, name, text)));
}

/** Returns whether a piece repeats a finished call, as some servers do in the last chunk. */
function isRepetition(call: OpenCall, id: string, name: string, text: string): boolean {
  return id !== '' && id === call.id && name === call.name && text === call.text && isComplete(call);
}

/** Returns whether the arguments are a whole document, to which nothing can be added. */
function isComplete({ text }: OpenCall): boolean {
  return /[}\]]\s{0,99}$/.test(text) && typeof parseJson(text) === 'object';
}

/** Returns the number of a call; some servers write it as a text. */
function readIndex(index: unknown): number | undefined {
  if (typeof index === 'string' && /^\d{1,9}$/.test(index)) return Number(index);
  return typeof index === 'number' ? index : undefined;
}

/**
 * Returns what a piece adds to a name: some providers send it in pieces, some again with each
 * piece, some as it grows.
 */
function nextOfName(call: OpenCall, name: string): string {
  if (name === call.name || name === '') return '';
  if (name.startsWith(call.name)) return name.slice(call.name.length);
  return call.text === '' ? name : '';
}

/** Returns the arguments as text; some local servers send them parsed. */
function readArguments(value: unknown): string {
  if (typeof value === 'object' && value !== null) return JSON.stringify(value);
  return readText(value);
}
