/**
 * Passes a provider's answer on to a client: the bytes as they came, watched for usage on the side.
 *
 * Nothing is passed before the first content, so that an answer that turns out to be a failure can
 * still give way to another key. Keep-alives before it are held for a few seconds at most.
 *
 * The last event of a stream is held for a moment, too. Clients stop reading at it, and close a
 * connection on which the answer has not ended. It leaves with the end, once that was recorded.
 */

import { BytePieces } from '../base/byte-pieces.ts';
import type { Clock } from '../base/clock.ts';
import { isPage } from '../providers/error-reason.ts';
import { AnswerWatcher, type WatchOptions } from './answer-watcher.ts';
import { ExchangeFailure } from '../providers/http-exchange.ts';
import { ReceiverFailure } from './failure.ts';
import { answeredHeaders } from './forward-request.ts';
import type { AnswerConsumer, ForwardSink } from './forwarding.ts';

/**
 * Longest time that keep-alives before the first content are held back, in milliseconds: clients
 * wait for a head, too.
 */
const MAX_HOLD_MS = 5000;

const NO_CONTENT = 204;

/**
 * Longest time that the last event is held back for the end of the answer, in milliseconds: they
 * usually come together.
 */
const MAX_END_HOLD_MS = 50;

/** Most bytes that are held back. */
const MAX_HOLD_BYTES = 64 * 1024;

export class PassThrough implements AnswerConsumer {
  readonly #sink: ForwardSink;
  readonly #options: WatchOptions;
  readonly #clock: Clock;
  readonly #watcher: AnswerWatcher;
  #status = 0;
  #headers: Readonly<Record<string, string>> = {};
  readonly #held = new BytePieces();
  #holdUntil = 0;
  #begun = false;
  /** Bytes that are still to come, where the head announced how many. */
  #left = Number.NaN;
  #isCut = false;
  /** Ends the time for which the last event is held back; undefined before it came. */
  #cancelEndHold: (() => void) | undefined;
  /** Whether the last event was held back for long enough. */
  #isEndHoldOver = false;
  /** Why the last event could not be passed on when its hold was over. */
  #endFailure: unknown;

  constructor(sink: ForwardSink, options: WatchOptions, clock: Clock) {
    this.#sink = sink;
    this.#options = options;
    this.#clock = clock;
    this.#watcher = new AnswerWatcher(options);
  }

  get begun(): boolean {
    return this.#begun;
  }

  get seen(): AnswerWatcher['seen'] {
    return this.#watcher.seen;
  }

  get contents(): number {
    return this.#watcher.contents;
  }

  get isWhole(): boolean {
    return this.#watcher.isFinished;
  }

  // The client decides when it has seen enough.
  readonly isDone = false;

  /** Stops passing bytes on; the usage is still read. */
  cut(): void {
    this.#isCut = true;
    this.#held.take();
    this.#cancelEndHold?.();
  }

  head(status: number, headers: Readonly<Record<string, string>>): void {
    this.#watcher.declare(headers['content-type']);
    // What is read is judged by its bytes.
    if (this.#watcher.form === 'opaque' && isPage(headers)) throw new ExchangeFailure('garbage', 'a web page');
    this.#status = status;
    this.#headers = answeredHeaders(headers);
    // Nor has a 204 a length (RFC 9110, 8.6), whatever its provider wrote.
    if (this.#options.stripUsage === true || status === NO_CONTENT) {
      delete (this.#headers as Record<string, string>)['content-length'];
    }
    this.#left = Number(this.#headers['content-length'] ?? Number.NaN);
    this.#holdUntil = this.#clock.monotonic() + MAX_HOLD_MS;
  }

  take(chunk: Buffer): Promise<void> | void {
    const passed = this.#watcher.push(chunk);
    if (this.#isCut) return;
    this.#left -= chunk.length;
    // The last bytes are the end for a client that counts: they leave once the answer is recorded.
    if (this.#left === 0) {
      this.#held.add(passed);
      return;
    }
    const { error, contents, sawLastEvent } = this.#watcher;
    if (this.#begun && !sawLastEvent) return passed.length === 0 ? undefined : this.#write(passed);
    if (!this.#begun && error) throw error;
    this.#held.add(passed);
    if (this.#held.bytes < MAX_HOLD_BYTES) {
      const isContentAwaited = !this.#begun && contents === 0;
      if (isContentAwaited && this.#clock.monotonic() < this.#holdUntil) return;
      if (sawLastEvent && this.#holdsEnd()) return;
    }
    return this.#commit();
  }

  finish(): void {
    const rest = this.#watcher.end();
    this.#held.add(rest);
    if (this.#watcher.error) throw this.#watcher.error;
  }

  async close(): Promise<void> {
    this.#cancelEndHold?.();
    if (this.#isCut) return;
    if (this.#endFailure !== undefined) throw this.#endFailure;
    this.#passHead();
    const last = this.#held.take();
    try {
      await this.#sink.end(last);
    } catch (error) {
      throw receiverFailure(error);
    }
  }

  /**
   * Ends the answer of which the client has seen a part: cleanly where the provider reported the
   * failure, else not.
   */
  async break(): Promise<void> {
    this.#cancelEndHold?.();
    if (this.#isCut) return;
    if (this.#watcher.error) {
      await this.close();
      return;
    }
    // Behind the last event nothing is missed: it is the client's, however the connection ends.
    if (this.#watcher.sawLastEvent) void this.#letEndGo();
    this.#sink.abort();
  }

  /** Returns whether the last event is held back, with what came in one piece with it. */
  #holdsEnd(): boolean {
    // Behind a head that was passed on, every end is `close` or `break`.
    this.#passHead();
    this.#cancelEndHold ??= this.#clock.after(MAX_END_HOLD_MS, () => void this.#letEndGo());
    return !this.#isEndHoldOver;
  }

  /** Passes on what is held back. A failure is kept for the end of the answer. */
  async #letEndGo(): Promise<void> {
    this.#isEndHoldOver = true;
    try {
      await this.#commit();
    } catch (error) {
      this.#endFailure = error;
    }
  }

  #commit(): Promise<void> | void {
    // A head alone would not leave: nothing is begun by it.
    if (this.#held.bytes === 0) return undefined;
    this.#passHead();
    return this.#write(this.#held.take());
  }

  /** Passes the head on where that was not done yet. */
  #passHead(): void {
    if (this.#begun) return;
    try {
      this.#sink.head(this.#status, this.#headersByForm());
    } catch (error) {
      throw receiverFailure(error);
    }
    this.#begun = true;
  }

  /** Returns the headers; an answer that is called a page, and is none, gets its right type. */
  #headersByForm(): Readonly<Record<string, string>> {
    if (!isPage(this.#headers)) return this.#headers;
    const type = this.#watcher.form === 'events' ? 'text/event-stream' : 'application/json';
    return { ...this.#headers, 'content-type': type };
  }

  #write(bytes: Buffer): Promise<void> | void {
    try {
      const room = this.#sink.write(bytes);
      return room?.catch((error: unknown) => {
        throw receiverFailure(error);
      });
    } catch (error) {
      throw receiverFailure(error);
    }
  }
}

function receiverFailure(cause: unknown): ReceiverFailure {
  return new ReceiverFailure('the receiver of the answer failed', { cause });
}
