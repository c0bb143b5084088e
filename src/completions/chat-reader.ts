/**
 * Reads the answer to a chat: hands its deltas over as they come, and folds it into a result.
 *
 * The form is judged by the bytes: a stream may come though none was wanted, and one document though a stream was. Events
 * without data, and data that is not a JSON object, keep a connection alive and say nothing.
 */

import { isRecord, parseJson, type JsonObject } from '../base/json.ts';
import { attachSplices, MIN_TEXT_BYTES, SplicingParser, type SplicedText, type Splices } from '../base/spliced-json.ts';
import type { CompletionDelta } from '../protocol/completion.ts';
import { formOf, type AnswerForm } from './answer-form.ts';
import { Assembly, type AssembledCompletion } from './assemble.ts';
import { GarbageAnswer, ReceiverFailure } from './failure.ts';
import type { AnswerConsumer } from './forwarding.ts';
import { dataOf, SseSplitter } from './sse.ts';

/** Receives deltas; a promise holds the next one back until it resolves. */
export type DeltaReceiver = (delta: CompletionDelta) => Promise<void> | void;

/** What a reader is made with. */
export interface ChatReaderOptions {
  /** The model that was asked for. */
  readonly model: string;
  /** Called for each delta; absent where the answer is wanted whole. */
  readonly onDelta?: DeltaReceiver | undefined;
}

/** Reads one answer. */
export class ChatReader implements AnswerConsumer {
  readonly #options: ChatReaderOptions;
  readonly #assembly = new Assembly();
  readonly #splitter = new SseSplitter();
  #form: AnswerForm | undefined;
  #prefix: Buffer[] = [];
  readonly #splices = new Map<string, SplicedText>();
  #document: Buffer[] = [];
  #documentBytes = 0;
  #parser: SplicingParser | undefined;
  #events: Buffer[] = [];
  #next = 0;
  #wholeDelta: CompletionDelta | undefined;
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
    this.#prefix.push(chunk);
    const bytes = this.#prefix.length === 1 ? chunk : Buffer.concat(this.#prefix);
    this.#prefix = [bytes];
    const found = formOf(bytes);
    if (!found) return undefined;
    return this.#begin(found.form, bytes.subarray(found.from));
  }

  finish(): void {
    const [held] = this.#prefix;
    if (this.#form === undefined && held) {
      const { form, from } = formOf(held, true) ?? { form: 'opaque', from: 0 };
      void this.#begin(form, held.subarray(from));
    }
    if (this.#form === undefined) throw new GarbageAnswer('nothing');
    if (this.#form === 'json') {
      this.#wholeDelta = this.#assembly.addWhole(unwrapList(this.#parseDocument()));
      this.#result = this.#assembly.finish(this.#options.model, true);
      return;
    }
    // An event may end with the stream instead of an empty line. Its delta is handed over with the end.
    this.#splitter.end((raw) => {
      this.#wholeDelta = this.#addEvent(raw);
    });
    this.#result = this.#assembly.finish(this.#options.model, this.#sawEnd);
  }

  async close(): Promise<void> {
    if (!this.#wholeDelta) return;
    attachSplices(this.#wholeDelta, this.#splices);
    await this.#hand(this.#wholeDelta);
  }

  #begin(form: AnswerForm, bytes: Buffer): Promise<void> | void {
    this.#form = form;
    this.#prefix = [];
    if (form === 'page') throw new GarbageAnswer('a web page');
    if (form === 'opaque') throw new GarbageAnswer('a text that is not JSON');
    return this.#read(bytes);
  }

  #read(bytes: Buffer): Promise<void> | void {
    if (this.#form === 'json') {
      this.#contents += 1;
      this.#keep(bytes);
      return undefined;
    }
    if (this.#sawEnd) return undefined;
    this.#events = [];
    this.#next = 0;
    this.#splitter.push(bytes, (raw) => this.#events.push(raw));
    return this.#handEvents();
  }

  /** Keeps the bytes of a document; a long one is taken apart as it comes. */
  #keep(bytes: Buffer): void {
    this.#documentBytes += bytes.length;
    if (this.#parser) this.#parser.push(bytes);
    else this.#document.push(bytes);
    if (this.#parser || this.#documentBytes < MIN_TEXT_BYTES) return;
    this.#parser = new SplicingParser(this.#splices);
    for (const piece of this.#document) this.#parser.push(piece);
    this.#document = [];
  }

  /** Parses a whole answer; some servers add the mark of a stream's end to it. */
  #parseDocument(): unknown {
    const parser = this.#parser ?? new SplicingParser(this.#splices);
    for (const piece of this.#document) parser.push(piece);
    const value = parser.finish(/\s*data: ?\[DONE\]\s*$/);
    if (value === undefined) throw new GarbageAnswer('JSON that cannot be read');
    return value;
  }

  #handEvents(): Promise<void> | void {
    for (let raw = this.#events[this.#next]; raw !== undefined; raw = this.#events[this.#next]) {
      this.#next += 1;
      if (this.#sawEnd) return undefined;
      const delta = this.#addEvent(raw);
      const room = delta && this.#hand(delta);
      if (room) return room.then(() => this.#handEvents());
    }
    return undefined;
  }

  #addEvent(raw: Buffer): CompletionDelta | undefined {
    const data = dataOf(raw);
    if (!data) return undefined;
    if (data.length >= MIN_TEXT_BYTES) return this.#addLongEvent(data);
    const text = data.toString();
    const value = unwrapList(parseJson(text));
    if (!isRecord(value)) {
      if (/^\s*"?\[DONE\]"?\s*$/.test(text)) this.#sawEnd = true;
      else if (/^\s*(?:\{|\[\s*\{)/.test(text)) throw new GarbageAnswer('JSON that cannot be read');
      return undefined;
    }
    return this.#addChunk(value);
  }

  #addLongEvent(data: Buffer): CompletionDelta | undefined {
    const splices = new Map<string, SplicedText>();
    const parser = new SplicingParser(splices);
    parser.push(data);
    const value = parser.finish();
    if (!isRecord(value)) throw new GarbageAnswer('JSON that cannot be read');
    for (const [token, text] of splices) this.#splices.set(token, text);
    const delta = this.#addChunk(value);
    if (delta) attachSplices(delta, splices);
    return delta;
  }

  #addChunk(chunk: JsonObject): CompletionDelta | undefined {
    const wasFinished = this.#assembly.isFinished;
    const delta = this.#assembly.addChunk(chunk);
    if (delta !== undefined || this.#assembly.isFinished !== wasFinished) this.#contents += 1;
    return delta;
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

/** Returns the document in a list of one: Google wraps an error so, and some relays each answer. */
function unwrapList(value: unknown): unknown {
  return Array.isArray(value) && value.length === 1 ? value[0] : value;
}
