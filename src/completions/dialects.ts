/**
 * The differences between dialects of providers, as data: the kind of request at each path, and
 * where an answer reports its usage and its failure. Pure.
 *
 * Bytes pass unchanged, so nothing here translates one dialect into another.
 */

import type { CompletionUsage } from '../protocol/completion.ts';
import { TOKEN_PART_FIELDS, type TokenPartField } from '../protocol/usage.ts';
import type { Dialect } from '../providers/provider.ts';
import { isRecord, readField, toRecord } from '../base/json.ts';

/** The kinds of request whose answers are read for usage; the answers of `other` are not. */
export type RequestKind = 'chat' | 'responses' | 'messages' | 'generate' | 'embeddings' | 'images' | 'audio' | 'other';

type Fields = Readonly<Record<string, unknown>>;

/** Patterns of paths, tried in order, for requests with a body. */
const KIND_OF_PATH: Readonly<Record<Dialect, readonly (readonly [RegExp, RequestKind])[]>> = {
  openai: [
    [/\/(?:chat\/)?completions$/, 'chat'],
    [/\/responses(?:\/compact)?$/, 'responses'],
    [/\/embeddings$/, 'embeddings'],
    [/\/images\/[a-z]+$/, 'images'],
    [/\/audio\/[a-z]+$/, 'audio'],
  ],
  anthropic: [[/\/messages$/, 'messages']],
  gemini: [
    [/:(?:generateContent|streamGenerateContent)$/, 'generate'],
    [/:(?:embedContent|batchEmbedContents)$/, 'embeddings'],
  ],
};

/** Returns the kind of a request by its path, without the query. */
export function kindOf(dialect: Dialect, method: string, path: string): RequestKind {
  if (method !== 'POST') return 'other';
  const bare = path.replace(/\/+$/, '');
  return KIND_OF_PATH[dialect].find(([pattern]) => pattern.test(bare))?.[1] ?? 'other';
}

/**
 * Paths, below the base URL of a dialect, whose refusals concern the key: calls of models, and the
 * list of models.
 */
const MODEL_PATHS: Readonly<Record<Dialect, RegExp>> = {
  openai:
    /^(?:\/v\d+(?:alpha|beta)?\d*)?\/(?:(?:chat\/)?completions|responses|embeddings|images\/[a-z]+|audio\/[a-z]+|models)$/,
  anthropic: /^(?:\/v\d+)?\/(?:messages|models)$/,
  gemini: /^(?:\/v\d+(?:alpha|beta)?\d*)?\/models(?:\/[^/:]+:[A-Za-z]+)?$/,
};

/**
 * Returns whether a refusal of a path concerns the key. Elsewhere it may concern the path alone: an
 * endpoint for administrators refuses every ordinary key, and its caller chose it.
 */
export function isModelPath(dialect: Dialect, path: string): boolean {
  return MODEL_PATHS[dialect].test(path.replace(/\/+$/, ''));
}

/** Places of a count in a usage document, tried in order: a member, or a member of a member. */
type Places = readonly (readonly [string, string?])[];

/**
 * Where a dialect writes its counts. Each count is the first place that holds one; `promptParts`
 * and `completionParts` are added up.
 */
interface UsageTable extends Readonly<Record<TokenPartField, Places>> {
  readonly promptParts: readonly Places[];
  readonly completionParts: readonly Places[];
  readonly total: Places;
  readonly cost: Places;
}

/** Parses places that are written with a dot where they lead into a member. */
function parsePlaces(...places: readonly string[]): Places {
  return places.map((place) => {
    const [outer = '', inner] = place.split('.');
    return inner === undefined ? [outer] : [outer, inner];
  });
}

/**
 * OpenAI's names in chat (`prompt_tokens`), Responses, images and audio (`input_tokens`), and what
 * others made of them: DeepSeek and Moonshot name the cached part on their own, OpenRouter gives
 * dollars, Perplexity a document of dollars. Prompt tokens include the cached ones and those
 * written to the cache.
 */
const OPENAI_USAGE: UsageTable = {
  promptParts: [parsePlaces('prompt_tokens', 'input_tokens')],
  completionParts: [parsePlaces('completion_tokens', 'output_tokens')],
  total: parsePlaces('total_tokens'),
  cachedTokens: parsePlaces(
    'prompt_tokens_details.cached_tokens',
    'input_tokens_details.cached_tokens',
    'prompt_cache_hit_tokens',
    'cached_tokens',
    'cache_read_input_tokens',
  ),
  cacheWriteTokens: parsePlaces(
    'prompt_tokens_details.cache_write_tokens',
    'input_tokens_details.cache_write_tokens',
    'cache_creation_input_tokens',
  ),
  reasoningTokens: parsePlaces(
    'completion_tokens_details.reasoning_tokens',
    'output_tokens_details.reasoning_tokens',
    'reasoning_tokens',
  ),
  cost: parsePlaces('cost', 'cost.total_cost'),
};

/**
 * Anthropic counts what comes from the cache and what is written to it beside `input_tokens`, and
 * not in it.
 */
const ANTHROPIC_USAGE: UsageTable = {
  promptParts: [
    parsePlaces('input_tokens'),
    parsePlaces('cache_creation_input_tokens'),
    parsePlaces('cache_read_input_tokens'),
  ],
  completionParts: [parsePlaces('output_tokens')],
  total: [],
  cachedTokens: parsePlaces('cache_read_input_tokens'),
  cacheWriteTokens: parsePlaces('cache_creation_input_tokens'),
  reasoningTokens: [],
  cost: [],
};

/** Gemini counts thoughts beside the candidates, and the prompt with its cached part. */
const GEMINI_USAGE: UsageTable = {
  promptParts: [parsePlaces('promptTokenCount'), parsePlaces('toolUsePromptTokenCount')],
  completionParts: [parsePlaces('candidatesTokenCount'), parsePlaces('thoughtsTokenCount')],
  total: parsePlaces('totalTokenCount'),
  cachedTokens: parsePlaces('cachedContentTokenCount'),
  cacheWriteTokens: [],
  reasoningTokens: parsePlaces('thoughtsTokenCount'),
  cost: [],
};

const USAGE_TABLES: Readonly<Record<Dialect, UsageTable>> = {
  openai: OPENAI_USAGE,
  anthropic: ANTHROPIC_USAGE,
  gemini: GEMINI_USAGE,
};

/**
 * Returns the counts of a usage document. A count that is missing or makes no sense is left out,
 * and never taken for zero: a bill depends on it. Counts written as text are read.
 */
export function readUsage(dialect: Dialect, usage: Fields): CompletionUsage {
  const table = USAGE_TABLES[dialect];
  const promptTokens = sum(usage, table.promptParts);
  const completionTokens = sum(usage, table.completionParts);
  const totalTokens =
    first(usage, table.total, toCount) ??
    (dialect === 'anthropic' && promptTokens !== undefined && completionTokens !== undefined
      ? promptTokens + completionTokens
      : undefined);
  const counts: { -readonly [Name in keyof CompletionUsage]: CompletionUsage[Name] } = {};
  if (promptTokens !== undefined) counts.promptTokens = promptTokens;
  if (completionTokens !== undefined) counts.completionTokens = completionTokens;
  if (totalTokens !== undefined) counts.totalTokens = totalTokens;
  for (const field of TOKEN_PART_FIELDS) {
    const count = first(usage, table[field], toCount);
    if (count !== undefined) counts[field] = count;
  }
  const costUsd = first(usage, table.cost, toAmount);
  if (costUsd !== undefined) counts.costUsd = costUsd;
  return counts;
}

/** Places that `readUsage` reads, as `parsePlaces` takes them. */
const PLACES_READ: Readonly<Record<Dialect, ReadonlySet<string>>> = {
  openai: placesOf(OPENAI_USAGE),
  anthropic: placesOf(ANTHROPIC_USAGE),
  gemini: placesOf(GEMINI_USAGE),
};

function placesOf({ promptParts, completionParts, ...counts }: UsageTable): ReadonlySet<string> {
  const all = [...promptParts, ...completionParts, ...Object.values(counts)].flat();
  return new Set(all.map((path) => path.join('.')));
}

/**
 * Returns the fields of a usage document that `readUsage` does not read, those of zeros left out;
 * undefined where there are none.
 */
function unreadUsage(dialect: Dialect, usage: Fields): Fields | undefined {
  const places = PLACES_READ[dialect];
  const isRead = (name: string, value: unknown): boolean => {
    if (!isRecord(value)) return places.has(name);
    return Object.entries(value).every(([inner, part]) => places.has(`${name}.${inner}`) || isEmpty(part));
  };
  const unread = Object.entries(usage).filter(([name, value]) => !isEmpty(value) && !isRead(name, value));
  return unread.length === 0 ? undefined : Object.fromEntries(unread);
}

function isEmpty(value: unknown): boolean {
  return typeof value !== 'boolean' && isZero(value);
}

function sum(usage: Fields, parts: readonly Places[]): number | undefined {
  let total: number | undefined;
  for (const places of parts) {
    const count = first(usage, places, toCount);
    if (count !== undefined) total = (total ?? 0) + count;
  }
  return total;
}

function first(usage: Fields, places: Places, read: (value: unknown) => number | undefined): number | undefined {
  for (const [name, inner] of places) {
    const outer = usage[name];
    // Most places are empty.
    if (outer === undefined) continue;
    const count = read(inner === undefined ? outer : readField(outer, inner));
    if (count !== undefined) return count;
  }
  return undefined;
}

function toCount(value: unknown): number | undefined {
  const count = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value;
  return typeof count === 'number' && Number.isSafeInteger(count) && count >= 0 ? count : undefined;
}

function toAmount(value: unknown): number | undefined {
  const amount = typeof value === 'string' && /^\d{1,15}(?:\.\d{1,18})?$/.test(value) ? Number(value) : value;
  return typeof amount === 'number' && Number.isFinite(amount) && amount >= 0 ? amount : undefined;
}

/** The members of a document in which something of interest stands, at its top. */
export const DOCUMENT_MEMBERS = [
  'id',
  'model',
  'usage',
  'usageMetadata',
  'modelVersion',
  'responseId',
  'error',
  'base_resp',
  'type',
] as const;

/** Members of a document that name the generation and its model, and count what it used. */
const MEMBERS_OF: Readonly<Record<Dialect, Readonly<Record<'id' | 'model' | 'usage', string>>>> = {
  openai: { id: 'id', model: 'model', usage: 'usage' },
  anthropic: { id: 'id', model: 'model', usage: 'usage' },
  gemini: { id: 'responseId', model: 'modelVersion', usage: 'usageMetadata' },
};

/**
 * Collects the facts about one answer from its documents (a whole one, or the events of a stream).
 */
export class AnswerSummary {
  readonly #dialect: Dialect;
  #id = '';
  #model = '';
  #usage: Fields | undefined;

  constructor(dialect: Dialect) {
    this.#dialect = dialect;
  }

  /**
   * The id of the generation, the model that answered and what was used, as far as they were seen.
   */
  get seen(): { readonly id: string | null; readonly model: string | null; readonly usage: CompletionUsage | null } {
    return {
      id: this.#id || null,
      model: this.#model || null,
      usage: this.#usage ? readUsage(this.#dialect, this.#usage) : null,
    };
  }

  /** Fields of the usage that are not among the counts. */
  get unreadUsage(): Fields | undefined {
    return this.#usage && unreadUsage(this.#dialect, this.#usage);
  }

  add(document: Fields): void {
    this.#addMembers(document);
    if (this.#dialect === 'gemini') return;
    // Anthropic's message_start and the events of Responses hold the answer in a member.
    this.#addMembers(document['message'] ?? document['response']);
    // Moonshot writes the usage into the choice, Groq under a name of its own.
    const choices = document['choices'];
    if (Array.isArray(choices)) this.#addUsage(toRecord(choices[0])['usage']);
    this.#addUsage(toRecord(document['x_groq'])['usage']);
  }

  addMember(name: string, value: unknown): void {
    const { id, model, usage } = MEMBERS_OF[this.#dialect];
    if (name === id && typeof value === 'string') this.#id ||= value;
    else if (name === model && typeof value === 'string') this.#model ||= value;
    else if (name === usage) this.#addUsage(value);
  }

  #addMembers(document: unknown): void {
    if (!isRecord(document)) return;
    const { id, model, usage } = MEMBERS_OF[this.#dialect];
    for (const name of [id, model, usage]) this.addMember(name, document[name]);
  }

  /**
   * Lays later counts over earlier ones: they count up. One of zeros alone counts for nothing, and
   * replaces nothing.
   */
  #addUsage(usage: unknown): void {
    if (!isRecord(usage)) return;
    const counts = Object.values(usage);
    if (this.#usage && counts.every((count) => isZero(count))) return;
    const known = counts.includes(null)
      ? Object.fromEntries(Object.entries(usage).filter(([, value]) => value !== null))
      : usage;
    this.#usage = this.#usage ? { ...this.#usage, ...known } : known;
  }
}

/** Levels of a usage document that are read; real ones have two. */
const MAX_USAGE_LEVELS = 8;

function isZero(value: unknown, levels = MAX_USAGE_LEVELS): boolean {
  if (typeof value === 'object' && value !== null) {
    return levels > 0 && Object.values(value).every((inner) => isZero(inner, levels - 1));
  }
  return value === 0 || value === '0' || typeof value === 'boolean' || value === null || value === '';
}

/**
 * Returns the failure that an event or a whole answer with a good status reports, or undefined
 * where it did not fail.
 */
export function errorIn(document: Fields): unknown {
  const { error, type } = document;
  if (isReported(error)) return error;
  const { status_code: status, status_msg: message } = toRecord(document['base_resp']);
  // MiniMax reports an outcome in each answer, 0 for success, with numbers of its own
  // (STATUS_OF_CODE).
  if (typeof status === 'number' && status !== 0) return { message, code: `base_resp_${status}` };
  if (type === 'error') return document;
  if (type === 'response.failed') {
    const reported = toRecord(document['response'])['error'];
    return isReported(reported) ? reported : 'the answer failed';
  }
  const choices = document['choices'];
  if (!Array.isArray(choices)) return undefined;
  for (const choice of choices) {
    const fields = toRecord(choice);
    if (isReported(fields['error'])) return fields['error'];
    if (fields['finish_reason'] === 'error') return 'the answer broke off with the finish reason "error"';
  }
  return undefined;
}

/** An empty error is none: some servers send one with each good answer. */
function isReported(error: unknown): boolean {
  if (typeof error === 'object' && error !== null) return Object.keys(error).length > 0;
  return typeof error === 'string' ? error !== '' : error === true;
}
