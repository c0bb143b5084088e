/**
 * Passes a provider's answer on to a client: the bytes as they came, watched for usage on the side.
 *
 * Nothing is passed before the first content, so that an answer that turns out to be a failure can
 * still give way to another key. Keep-alives before it are held for a few seconds at most.
 */

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
 * Longest time that the last event is held back for the end of the connection, in milliseconds: one
 * usually comes with the other.
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
  #held: Buffer[] = [];
  #heldBytes = 0;
  #holdUntil = 0;
  #begun = false;
  /** Bytes that are still to come, where the head announced how many. */
  #left = Number.NaN;
  #isCut = false;
  /** The hold of the last event, and the time up to which it lasts. */
  #endHold: { readonly until: number; readonly cancel: () => void } | undefined;

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
    this.#held = [];
    this.#endHold?.cancel();
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
      this.#held.push(passed);
      return;
    }
    const { error, contents, isOver } = this.#watcher;
    if (this.#begun && !isOver) return passed.length === 0 ? undefined : this.#write(passed);
    if (!this.#begun && error) throw error;
    this.#held.push(passed);
    this.#heldBytes += passed.length;
    const holdUntil = contents === 0 ? this.#holdUntil : isOver ? this.#holdEnd() : 0;
    if (this.#heldBytes < MAX_HOLD_BYTES && this.#clock.monotonic() < holdUntil) return;
    return this.#commit();
  }

  finish(): void {
    const rest = this.#watcher.end();
    if (rest.length > 0) this.#held.push(rest);
    if (this.#watcher.error) throw this.#watcher.error;
  }

  async close(): Promise<void> {
    this.#endHold?.cancel();
    if (this.#isCut) return;
    const last = this.#begin();
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
    this.#endHold?.cancel();
    if (this.#isCut) return;
    if (this.#watcher.error) await this.close();
    else this.#sink.abort();
  }

  /**
   * Begins to hold the last event back until the answer ends, and returns the time up to which. It
   * is the end for a client that reads events.
   */
  #holdEnd(): number {
    if (this.#endHold) return this.#endHold.until;
    const cancel = this.#clock.after(MAX_END_HOLD_MS, () => void this.#letEndGo());
    this.#endHold = { until: this.#clock.monotonic() + MAX_END_HOLD_MS, cancel };
    // Behind a head that was passed on, every end is `close` or `break`.
    const held = this.#begin();
    this.#held.push(held);
    return this.#endHold.until;
  }

  async #letEndGo(): Promise<void> {
    try {
      await this.#commit();
    } catch {
      // A receiver that fails here does so again at the end.
    }
  }

  #commit(): Promise<void> | void {
    const bytes = this.#begin();
    return bytes.length === 0 ? undefined : this.#write(bytes);
  }

  /** Passes the head on where that was not done yet, and returns the bytes that were held back. */
  #begin(): Buffer {
    try {
      if (!this.#begun) this.#sink.head(this.#status, this.#headersByForm());
      this.#begun = true;
    } catch (error) {
      throw receiverFailure(error);
    }
    const held = this.#held;
    this.#held = [];
    this.#heldBytes = 0;
    const [only] = held;
    return held.length === 1 && only ? only : Buffer.concat(held);
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
