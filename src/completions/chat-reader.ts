/**
 * Reads the answer to a chat: hands its deltas over as they come, and folds it into a result.
 *
 * The form is judged by the bytes: a stream may come though none was wanted, and one document
 * though a stream was. A stream is one of events, or of lines with a chunk each (NDJSON). Events
 * without data, and data that is not a JSON object, keep a connection alive and have no meaning.
 */

import { BytePieces } from '../base/byte-pieces.ts';
import { isDeeperThan, isRecord, parseJson, type JsonObject } from '../base/json.ts';
import {
  attachSplices,
  MAX_LEVELS,
  MIN_TEXT_BYTES,
  SplicingParser,
  type SplicedText,
  type Splices,
} from '../base/spliced-json.ts';
import type { CompletionDelta } from '../protocol/completion.ts';
import { FormFinder, type AnswerForm } from './answer-form.ts';
import { Assembly, type AssembledCompletion } from './assemble.ts';
import { ExchangeFailure } from '../providers/http-exchange.ts';
import { ErrorInAnswer, ReceiverFailure } from './failure.ts';
import type { AnswerConsumer } from './forwarding.ts';
import { dataOf, isErrorEvent, MAX_EVENT_BYTES, SseSplitter } from './sse.ts';

/** Receives deltas; a promise holds the next one back until it resolves. */
export type DeltaReceiver = (delta: CompletionDelta) => Promise<void> | void;

export interface ChatReaderOptions {
  /** The model that was asked for. */
  readonly model: string;
  /** Called for each delta; absent where the answer is wanted whole. */
  readonly onDelta?: DeltaReceiver | undefined;
}

export class ChatReader implements AnswerConsumer {
  readonly #options: ChatReaderOptions;
  readonly #assembly = new Assembly();
  readonly #splitter = new SseSplitter();
  #form: AnswerForm | 'lines' | undefined;
  readonly #finder = new FormFinder();
  readonly #splices = new Map<string, SplicedText>();
  readonly #document = new BytePieces();
  #documentBytes = 0;
  #parser: SplicingParser | undefined;
  /** Whether the end of a line was seen. */
  #hasLine = false;
  /** Whether more than the first line of a document was seen, so that its form is sure. */
  #isSure = false;
  readonly #line = new BytePieces();
  #events: Buffer[] = [];
  #next = 0;
  #wholeDelta: CompletionDelta | undefined;
  /** Fields of the answer that came before its content. */
  #heldExtra: CompletionDelta['answerExtra'];
  #result: AssembledCompletion | undefined;
  #sawEnd = false;
  #contents = 0;
  #begun = false;
  #isCut = false;

  constructor(options: ChatReaderOptions) {
    this.#options = options;
  }

  get begun(): boolean {
    return this.#begun;
  }

  get contents(): number {
    return this.#contents;
  }

  get seen(): Assembly['seen'] {
    return this.#assembly.seen;
  }

  get isWhole(): boolean {
    return this.#sawEnd || this.#assembly.isFinished;
  }

  get isDone(): boolean {
    return this.#sawEnd;
  }

  /** The result of an answer that was finished. */
  get result(): AssembledCompletion {
    if (!this.#result) throw new Error('the answer is not finished');
    return this.#result;
  }

  /** The long texts of the result. */
  get splices(): Splices {
    return this.#splices;
  }

  cut(): void {
    this.#isCut = true;
  }

  head(): void {}

  take(chunk: Buffer): Promise<void> | void {
    if (this.#form !== undefined) return this.#read(chunk);
    const { form, rest } = this.#finder.push(chunk);
    return form === undefined ? undefined : this.#begin(form, rest);
  }

  finish(): void {
    if (this.#form === undefined) {
      const { form, rest } = this.#finder.end();
      if (form !== undefined) void this.#begin(form, rest);
    }
    if (this.#form === undefined) throw new ExchangeFailure('garbage', 'nothing');
    if (this.#form === 'json') {
      this.#wholeDelta = this.#assembly.addWhole(unwrapList(this.#parseDocument()));
      this.#result = this.#assembly.finish(this.#options.model, true);
      return;
    }
    if (this.#form === 'lines') {
      this.#wholeDelta = this.#addData(this.#line.take());
      this.#result = this.#assembly.finish(this.#options.model, this.#sawEnd);
      return;
    }
    // An event may end with the stream instead of an empty line. Its delta is handed over with the
    // end.
    this.#splitter.end((raw) => {
      this.#wholeDelta = this.#addEvent(raw);
    });
    this.#result = this.#assembly.finish(this.#options.model, this.#sawEnd);
  }

  async close(): Promise<void> {
    if (this.#heldExtra) this.#wholeDelta ??= { answerExtra: this.#heldExtra };
    if (!this.#wholeDelta) return;
    attachSplices(this.#wholeDelta, this.#splices);
    await this.#hand(this.#wholeDelta);
  }

  #begin(form: AnswerForm, bytes: Buffer): Promise<void> | void {
    this.#form = form;
    if (form === 'page') throw new ExchangeFailure('garbage', 'a web page');
    if (form === 'opaque') throw new ExchangeFailure('garbage', 'a text that is not JSON');
    return this.#read(bytes);
  }

  #read(bytes: Buffer): Promise<void> | void {
    if (this.#form === 'json') {
      this.#contents += 1;
      this.#keep(bytes);
      this.#hasLine ||= bytes.includes(0x0a);
      if (this.#isSure || !this.#hasLine || bytes.every(isBlank) || !this.#isLines()) return undefined;
      this.#form = 'lines';
      return this.#read(this.#document.take());
    }
    if (this.#sawEnd) return undefined;
    this.#events = [];
    this.#next = 0;
    if (this.#form === 'lines') this.#splitLines(bytes);
    else this.#splitter.push(bytes, (raw) => this.#events.push(raw));
    return this.#handEvents();
  }

  /**
   * Returns whether what came so far is a line with a whole object, and the beginning of another
   * one.
   */
  #isLines(): boolean {
    if (this.#parser) {
      this.#isSure = true;
      return false;
    }
    const bytes = this.#document.take();
    this.#document.add(bytes);
    const end = bytes.indexOf(0x0a);
    if (end === -1) return false;
    const next = bytes.subarray(end).find((byte) => !isBlank(byte));
    if (next === undefined) return false;
    this.#isSure = true;
    return next === 0x7b && isRecord(parseJson(bytes.toString('utf8', 0, end)));
  }

  #splitLines(bytes: Buffer): void {
    let from = 0;
    for (let end = bytes.indexOf(0x0a); end !== -1; end = bytes.indexOf(0x0a, from)) {
      this.#events.push(this.#line.take(bytes.subarray(from, end)));
      from = end + 1;
    }
    this.#line.add(bytes.subarray(from));
    if (this.#line.bytes > MAX_EVENT_BYTES)
      throw new ExchangeFailure('garbage', `a line of more than ${MAX_EVENT_BYTES} bytes`);
  }

  /** Keeps the bytes of a document; a long one is taken apart as it comes. */
  #keep(bytes: Buffer): void {
    this.#documentBytes += bytes.length;
    if (this.#parser) this.#parser.push(bytes);
    else this.#document.add(bytes);
    if (this.#parser || this.#documentBytes < MIN_TEXT_BYTES) return;
    this.#parser = new SplicingParser(this.#splices);
    this.#parser.push(this.#document.take());
  }

  /** Parses a whole answer; some servers add the mark of a stream's end to it. */
  #parseDocument(): unknown {
    const parser = this.#parser ?? new SplicingParser(this.#splices);
    if (!this.#parser) parser.push(this.#document.take());
    const value = parser.finish(/\s*data: ?\[DONE\]\s*$/);
    if (value === undefined) throw new ExchangeFailure('garbage', 'JSON that cannot be read');
    return value;
  }

  #handEvents(): Promise<void> | void {
    for (let raw = this.#events[this.#next]; raw !== undefined; raw = this.#events[this.#next]) {
      this.#next += 1;
      if (this.#sawEnd) return undefined;
      const delta = this.#form === 'lines' ? this.#addData(raw) : this.#addEvent(raw);
      const room = delta && this.#hand(delta);
      if (room) return room.then(() => this.#handEvents());
    }
    return undefined;
  }

  #addEvent(raw: Buffer): CompletionDelta | undefined {
    const data = dataOf(raw);
    if (!data) return undefined;
    if (isErrorEvent(raw)) throwError(data.toString());
    return this.#addData(data);
  }

  #addData(data: Buffer): CompletionDelta | undefined {
    if (data.length >= MIN_TEXT_BYTES) return this.#addLongEvent(data);
    const text = data.toString();
    const value = isDeeperThan(text, MAX_LEVELS) ? undefined : unwrapList(parseJson(text));
    if (!isRecord(value)) {
      if (/^\s*"?\[DONE\]"?\s*$/.test(text)) this.#sawEnd = true;
      else if (/^\s*(?:\{|\[\s*\{)/.test(text)) throw new ExchangeFailure('garbage', 'JSON that cannot be read');
      return undefined;
    }
    return this.#addChunk(value);
  }

  #addLongEvent(data: Buffer): CompletionDelta | undefined {
    const splices = new Map<string, SplicedText>();
    const parser = new SplicingParser(splices);
    parser.push(data);
    const value = parser.finish();
    if (!isRecord(value)) throw new ExchangeFailure('garbage', 'JSON that cannot be read');
    for (const [token, text] of splices) this.#splices.set(token, text);
    const delta = this.#addChunk(value);
    if (delta) attachSplices(delta, splices);
    return delta;
  }

  #addChunk(chunk: JsonObject): CompletionDelta | undefined {
    const wasFinished = this.#assembly.isFinished;
    const added = this.#assembly.addChunk(chunk);
    const isContent = added !== undefined && Object.keys(added).some((name) => name !== 'answerExtra');
    if (isContent || this.#assembly.isFinished !== wasFinished) this.#contents += 1;
    if (!added) return undefined;
    // What only keeps the connection alive may have fields that change, and commits nobody: another
    // key can still answer.
    const delta = this.#heldExtra ? { ...added, answerExtra: { ...this.#heldExtra, ...added.answerExtra } } : added;
    this.#heldExtra = isContent || this.#begun ? undefined : delta.answerExtra;
    return this.#heldExtra ? undefined : delta;
  }

  #hand(delta: CompletionDelta): Promise<void> | void {
    const { onDelta } = this.#options;
    if (!onDelta || this.#isCut) return undefined;
    this.#begun = true;
    try {
      return onDelta(delta)?.catch((error: unknown) => {
        throw new ReceiverFailure('the receiver of deltas failed', { cause: error });
      });
    } catch (error) {
      throw new ReceiverFailure('the receiver of deltas failed', { cause: error });
    }
  }
}

/** Throws the error of an event with the name `error`; an empty document is ignored. */
function throwError(data: string): void {
  const value = parseJson(data);
  const reported = isRecord(value) && isRecord(value['error']) ? value['error'] : (value ?? data);
  if (!isRecord(reported) || Object.keys(reported).length > 0) throw new ErrorInAnswer(reported);
}

function isBlank(byte: number): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d;
}

/** Returns the document in a list of one: Google wraps an error so, and some relays each answer. */
function unwrapList(value: unknown): unknown {
  return Array.isArray(value) && value.length === 1 ? value[0] : value;
}
