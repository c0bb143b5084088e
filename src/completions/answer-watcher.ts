/**
 * Watches the bytes of an answer go by: what it used, whether it failed after a good status,
 * whether its end was seen. The bytes themselves are passed on unchanged by whoever has them.
 */

import { isRecord, parseJson, toRecord } from '../base/json.ts';
import { FormFinder, type AnswerForm } from './answer-form.ts';
import { AnswerSummary, DOCUMENT_MEMBERS, errorIn, type RequestKind } from './dialects.ts';
import type { Dialect } from '../providers/provider.ts';
import { ExchangeFailure } from '../providers/http-exchange.ts';
import { ErrorInAnswer } from './failure.ts';
import { JsonScanner } from './json-scan.ts';
import { dataOf, isErrorEvent, SseSplitter } from './sse.ts';

/**
 * The longest event that is parsed, in bytes; of a longer one (a picture) only single members are
 * read.
 */
const MAX_PARSED_BYTES = 64 * 1024;

/**
 * The kinds whose streams have a mark of their end: without it they broke off. Gemini's
 * `finishReason` is none: Google ends streams without it, also whole ones that call a tool, and its
 * own client decides (google-gemini/gemini-cli, issue 8073).
 */
const MARKED_KINDS: ReadonlySet<RequestKind> = new Set(['chat', 'messages', 'responses']);

/** Kinds that always have an answer: one without any content is not a success. */
const ANSWERING_KINDS: ReadonlySet<RequestKind> = new Set([...MARKED_KINDS, 'generate', 'embeddings']);

/** Kinds whose answers may be sound, a picture or plain text, which may begin with any byte. */
const FREE_KINDS: ReadonlySet<RequestKind> = new Set(['audio', 'images']);

/** Content types that are read. */
const READ_TYPE = /json|event-stream/i;

export interface WatchOptions {
  readonly dialect: Dialect;
  readonly kind: RequestKind;
  /**
   * Whether the event that holds nothing but the usage is taken out: it was not asked for by the
   * client.
   */
  readonly stripUsage?: boolean;
  readonly isHeadOnly?: boolean;
}

const NOTHING = Buffer.alloc(0);

export class AnswerWatcher {
  readonly #options: WatchOptions;
  readonly #summary: AnswerSummary;
  #form: AnswerForm | undefined;
  readonly #finder = new FormFinder();
  #splitter: SseSplitter | undefined;
  #scanner: JsonScanner | undefined;
  #kept: Buffer[] = [];
  #sawLastEvent = false;
  #isFinished = false;
  /** Whether each choice of a chat, by its index, has ended. */
  readonly #choices = new Map<number, boolean>();
  #contents = 0;
  #error: ErrorInAnswer | undefined;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#summary = new AnswerSummary(options.dialect);
    if (options.kind === 'other') this.#form = 'opaque';
  }

  /**
   * Takes the content type of the answer. Audio and subtitles cannot be recognised by their first
   * bytes.
   */
  declare(contentType: string | undefined): void {
    if (contentType !== undefined && FREE_KINDS.has(this.#options.kind) && !READ_TYPE.test(contentType)) {
      this.#form = 'opaque';
    }
  }

  get form(): AnswerForm | undefined {
    return this.#form;
  }

  get seen(): AnswerSummary['seen'] {
    return this.#summary.seen;
  }

  /** Number of pieces of content; comments and other keep-alives are none. */
  get contents(): number {
    return this.#contents;
  }

  /** The error that stood in an answer with a good status. */
  get error(): ErrorInAnswer | undefined {
    return this.#error;
  }

  /** Whether the last event of a stream has come: at it, clients stop reading. */
  get sawLastEvent(): boolean {
    return this.#sawLastEvent;
  }

  /** Whether all of the content is there, though the connection may still be open. */
  get isFinished(): boolean {
    return this.#sawLastEvent || this.#isFinished;
  }

  /**
   * Takes the next bytes and returns those that are to be passed on.
   *
   * @throws ExchangeFailure for a page, or for an event without an end.
   */
  push(chunk: Buffer): Buffer {
    if (this.#form !== undefined) return this.#read(chunk);
    const { form, passedOver, rest } = this.#finder.push(chunk);
    const passed = form === undefined ? NOTHING : this.#begin(form, rest);
    // Of a stream whose usage is taken out, only whole events and what is before them leave.
    if (this.#options.stripUsage !== true) return chunk;
    return passedOver.length === 0 ? passed : Buffer.concat([passedOver, passed]);
  }

  /**
   * Takes the end of the answer, and returns what is still to be passed on.
   *
   * @throws ExchangeFailure where the answer is not whole, and what `push` throws.
   */
  end(): Buffer {
    const { kind, isHeadOnly } = this.#options;
    if (isHeadOnly === true) return NOTHING;
    let last: Buffer = NOTHING;
    if (this.#form === undefined) {
      const { form, rest } = this.#finder.end();
      last = form === 'events' || (form !== undefined && !isBlank(rest)) ? this.#begin(form, rest) : rest;
    }
    this.#splitter?.end((raw) => this.#addEvent(raw));
    if (this.#scanner && !this.#scanner.isWhole) throw new ExchangeFailure('garbage', 'a document that ended early');
    if (this.#splitter && MARKED_KINDS.has(kind) && !this.isFinished) {
      throw new ExchangeFailure('garbage', 'a stream that ended early');
    }
    if (ANSWERING_KINDS.has(kind) && this.#contents === 0 && !this.isFinished) {
      throw new ExchangeFailure('garbage', 'an empty answer');
    }
    if (this.#options.stripUsage !== true) return NOTHING;
    return last.length === 0 ? this.#takeKept() : Buffer.concat([last, this.#takeKept()]);
  }

  /** Begins to read, at the first meaningful byte; returns what `#read` does. */
  #begin(form: AnswerForm, bytes: Buffer): Buffer {
    if (form === 'page') throw new ExchangeFailure('garbage', 'a web page');
    this.#form = form;
    if (form === 'events') this.#splitter = new SseSplitter();
    if (form === 'json') this.#scanner = this.#createScanner();
    return this.#read(bytes);
  }

  #read(bytes: Buffer): Buffer {
    if (this.#splitter) {
      this.#splitter.push(bytes, (raw) => this.#addEvent(raw));
      return this.#options.stripUsage === true ? this.#takeKept() : bytes;
    }
    this.#contents += 1;
    this.#scanner?.push(bytes);
    return bytes;
  }

  #takeKept(): Buffer {
    const kept = this.#kept;
    if (kept.length === 0) return NOTHING;
    this.#kept = [];
    const [only] = kept;
    return kept.length === 1 && only ? only : Buffer.concat(kept);
  }

  /**
   * Makes a scanner that hands over each member as it ends: a stream of Gemini may be one long
   * list.
   */
  #createScanner(nesting = 0): JsonScanner {
    return new JsonScanner(
      DOCUMENT_MEMBERS,
      ({ name, text }) => {
        const value = parseJson(text);
        this.#summary.addMember(name, value);
        if (name === 'error' || name === 'base_resp') this.#note(errorIn({ [name]: value }));
        if (name === 'type' && isLastEvent(value)) this.#sawLastEvent = true;
      },
      nesting,
    );
  }

  /** Notes which choices have begun and ended: with the last one, the content ends. */
  #noteChoices({ choices }: Readonly<Record<string, unknown>>): void {
    if (!Array.isArray(choices) || choices.length === 0) return;
    for (const [place, choice] of choices.entries()) {
      const fields = toRecord(choice);
      const index = Number(fields['index'] ?? place);
      if (isEnd(fields['finish_reason'])) this.#choices.set(index, true);
      else if (!this.#choices.has(index) && hasContent(fields)) this.#choices.set(index, false);
      else continue;
      this.#isFinished = [...this.#choices.values()].every(Boolean);
    }
  }

  #note(error: unknown): void {
    if (error !== undefined) this.#error ??= new ErrorInAnswer(error);
  }

  /** Reads single members of a long event. */
  #scanEvent(data: Buffer): void {
    this.#createScanner().push(data);
    if (this.#options.kind !== 'responses') return;
    // The last event of Responses holds the whole answer in a member.
    this.#createScanner(1).push(data);
  }

  #addEvent(raw: Buffer): void {
    const strips = this.#options.stripUsage === true;
    const data = dataOf(raw);
    if (!data || data.length > MAX_PARSED_BYTES) {
      if (strips) this.#kept.push(raw);
      if (!data) return;
      this.#contents += 1;
      this.#scanEvent(data);
      return;
    }
    const text = data.toString();
    const value = parseJson(text);
    if (typeof value !== 'object' || value === null) {
      if (strips) this.#kept.push(raw);
      if (isErrorEvent(raw)) this.#note(text);
      if (text.trim() === '[DONE]') this.#sawLastEvent = true;
      return;
    }
    const document = toRecord(value);
    if (strips && !isUsageOnly(document)) this.#kept.push(raw);
    this.#summary.add(document);
    this.#note(errorIn(document) ?? (isErrorEvent(raw) && !isEmptyRecord(document) ? document : undefined));
    if (isLastEvent(document['type'])) this.#sawLastEvent = true;
    this.#noteChoices(document);
    if (this.#error) this.#isFinished = true;
    if (isContent(document, this.#options.kind)) this.#contents += 1;
  }
}

function isBlank(bytes: Buffer): boolean {
  return bytes.toString('latin1').trim() === '';
}

function isEmptyRecord(document: Readonly<Record<string, unknown>>): boolean {
  return Object.keys(document).length === 0;
}

/**
 * Returns whether an event is the one that OpenAI adds for `include_usage`: the usage, and no
 * choice.
 */
function isUsageOnly({ choices, usage }: Readonly<Record<string, unknown>>): boolean {
  return Array.isArray(choices) && choices.length === 0 && typeof usage === 'object' && usage !== null;
}

/** Types of the events that end a stream. */
const LAST_EVENTS: ReadonlySet<unknown> = new Set([
  'message_stop',
  'response.completed',
  'response.incomplete',
  'response.done',
]);

function isLastEvent(type: unknown): boolean {
  return LAST_EVENTS.has(type);
}

/**
 * Returns whether an event carries anything of an answer: pings, and deltas without a text, keep a
 * connection alive.
 */
function isContent(document: Readonly<Record<string, unknown>>, kind: RequestKind): boolean {
  const { type, choices } = document;
  if (type === 'ping' || type === 'keepalive' || isEmptyRecord(document)) return false;
  // Of a chat all content is in choices; a document without any is some server's way to keep the
  // connection alive.
  if (!Array.isArray(choices)) return kind !== 'chat' || isRecord(document['usage']);
  if (choices.length === 0) return typeof document['usage'] === 'object' && document['usage'] !== null;
  return choices.some((choice) => {
    const fields = toRecord(choice);
    return typeof fields['finish_reason'] === 'string' || hasContent(fields);
  });
}

/** Returns whether a finish reason is one; some servers write an empty text in each chunk. */
function isEnd(reason: unknown): boolean {
  return typeof reason === 'string' && reason !== '';
}

/** Returns whether a choice of a chunk carries more than the role. */
function hasContent({ delta }: Readonly<Record<string, unknown>>): boolean {
  if (delta === undefined) return true;
  return Object.entries(toRecord(delta)).some(
    ([name, value]) => name !== 'role' && value !== null && value !== '' && value !== undefined,
  );
}
