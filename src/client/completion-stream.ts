/**
 * A streamed completion: iterate it for the deltas, await `result` for the whole.
 */

import { AipassError } from '../base/errors.ts';
import type { CompletionDelta, CompletionResult } from '../protocol/completion.ts';

/** Starts the request: hands deltas on, and aborts with the signal. */
export type StartStream = (onDelta: (delta: CompletionDelta) => void, signal: AbortSignal) => Promise<CompletionResult>;

/**
 * Yields deltas as they come. Leaving the loop early cancels the completion. Both the loop and
 * `result` end with the AipassError of a failure. A program that uses only one of them need not
 * handle the other.
 */
export class CompletionStream implements AsyncIterable<CompletionDelta> {
  /** Resolves with the whole completion once the stream has ended. */
  readonly result: Promise<CompletionResult>;
  readonly #abort = new AbortController();
  readonly #queue: CompletionDelta[] = [];
  #ended: { readonly error: AipassError | undefined } | undefined;
  #wake: (() => void) | undefined;
  #isRead = false;

  constructor(start: StartStream) {
    this.result = start((delta) => {
      this.#queue.push(delta);
      this.#wake?.();
    }, this.#abort.signal);
    this.result.then(
      () => this.#end(undefined),
      (error: AipassError) => this.#end(error),
    );
  }

  /** Ends the completion; `result` rejects with CANCELLED. */
  cancel(): void {
    this.#abort.abort();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<CompletionDelta, void, void> {
    if (this.#isRead) {
      throw new AipassError('BAD_REQUEST', 'this stream is already being read', {
        hint: 'read it in one loop, and hand the deltas on from there',
      });
    }
    this.#isRead = true;
    try {
      for (;;) {
        for (let delta = this.#queue.shift(); delta !== undefined; delta = this.#queue.shift()) yield delta;
        if (this.#ended) {
          if (this.#ended.error) throw this.#ended.error;
          return;
        }
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      this.#isRead = false;
      if (!this.#ended) this.cancel();
    }
  }

  #end(error: AipassError | undefined): void {
    this.#ended = { error };
    this.#wake?.();
  }
}
