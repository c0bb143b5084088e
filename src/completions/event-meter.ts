/**
 * Watches the bytes of an event stream go by: how long the event under way is, and whether the mark of the end has come.
 * It parses nothing more; the SDK does.
 *
 * An event counts from the blank line after the one before it, so that comments between two events count too: a flood of
 * them would otherwise be held in memory without a bound.
 */

import { ExchangeFailure } from '../providers/http-exchange.ts';

/** Is the longest event, in bytes: a picture in an answer fits, a stream without an end does not. */
const MAX_EVENT_BYTES = 16 * 1024 * 1024;

const LF = 0x0a;
const CR = 0x0d;

/** Is how much of each line is looked at: enough for the mark and something behind it. */
const LINE_START = 16;

/** Meters one stream. */
export class EventMeter {
  readonly #maxBytes: number;
  readonly #line = Buffer.alloc(LINE_START);
  #lineLength = 0;
  #eventBytes = 0;
  #hasData = false;
  #done = false;

  constructor(maxBytes = MAX_EVENT_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /** Tells whether `data: [DONE]` went by. */
  get done(): boolean {
    return this.#done;
  }

  /** Counts a chunk. @throws ExchangeFailure for an event that is too long. */
  count(chunk: Uint8Array): void {
    for (const byte of chunk) {
      this.#eventBytes += 1;
      if (byte === LF || byte === CR) this.#endLine();
      else {
        if (this.#lineLength < LINE_START) this.#line[this.#lineLength] = byte;
        this.#lineLength += 1;
      }
    }
    if (this.#eventBytes > this.#maxBytes) {
      throw new ExchangeFailure('garbage', `a stream event of more than ${this.#maxBytes} bytes`);
    }
  }

  /** Counts the end of the stream, which may come without a last line end. */
  end(): void {
    this.#endLine();
  }

  // The empty line inside CR LF is taken for a blank one. That only makes the meter milder, by one line of an event.
  #endLine(): void {
    if (this.#lineLength === 0) {
      if (this.#hasData) this.#eventBytes = 0;
      this.#hasData = false;
    } else {
      const start = this.#line.toString('latin1', 0, Math.min(this.#lineLength, LINE_START));
      if (start.startsWith('data:')) this.#hasData = true;
      if (/^data: ?\[DONE\]$/.test(start)) this.#done = true;
    }
    this.#lineLength = 0;
  }
}
