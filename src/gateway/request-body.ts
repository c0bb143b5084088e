/**
 * Reading a request's body whole: a refused key means that the same bytes go out again. Bounded in
 * size, in silence, and by what one user may have waiting.
 */

import type { IncomingMessage } from 'node:http';
import { AipassError } from '../base/errors.ts';

/** Time between two pieces of a body, in milliseconds. */
const SILENCE_MS = 30_000;

/** Bounds of a body. */
export interface BodyLimits {
  readonly maxBytes: number;
  readonly silenceMs?: number;
  /** Counts bytes that wait for this user; false where there are too many. */
  readonly wait: (bytes: number) => boolean;
}

/** Body of a request, or why it was not read. `status` is the answer's. */
export type BodyOutcome =
  | { readonly kind: 'read'; readonly body: Buffer }
  | { readonly kind: 'refused'; readonly status: number; readonly error: AipassError }
  /** The client went away. */
  | { readonly kind: 'lost' };

/** Returns whether a request announces a body (RFC 9112, 6). */
export function hasBody(request: IncomingMessage): boolean {
  const length = request.headers['content-length'];
  return request.headers['transfer-encoding'] !== undefined || (length !== undefined && length !== '0');
}

/** Reads a body. The bytes stay counted as waiting until the caller takes them back. */
export function readBody(request: IncomingMessage, limits: BodyLimits): Promise<BodyOutcome> {
  const announced = Number(request.headers['content-length'] ?? 0);
  if (announced > limits.maxBytes) return Promise.resolve(tooLong(limits.maxBytes));
  const { promise, resolve } = Promise.withResolvers<BodyOutcome>();
  const pieces = new BodyPieces();
  let bytes = 0;
  const timer = setTimeout(() => finish(silent()), limits.silenceMs ?? SILENCE_MS);
  const finish = (outcome: BodyOutcome): void => {
    clearTimeout(timer);
    request.off('data', take);
    if (outcome.kind !== 'read') limits.wait(-bytes);
    resolve(outcome);
  };
  const take = (chunk: Buffer): void => {
    timer.refresh();
    bytes += chunk.length;
    pieces.add(chunk);
    const isRoom = limits.wait(chunk.length);
    if (bytes > limits.maxBytes) finish(tooLong(limits.maxBytes));
    else if (!isRoom) finish(tooMuchWaiting());
  };
  request.on('data', take);
  request.once('end', () => finish({ kind: 'read', body: pieces.join() }));
  request.once('error', () => finish({ kind: 'lost' }));
  request.once('close', () => finish({ kind: 'lost' }));
  return promise;
}

const EMPTY = Buffer.alloc(0);

/** Size of a block of small pieces, in bytes. */
const BLOCK_BYTES = 16 * 1024;

/** Size from which a piece is kept as it comes, in bytes. */
const LARGE_BYTES = 4 * 1024;

/**
 * Pieces of a body. Small ones are copied together: kept as they come, a body in chunks of one byte
 * would take a hundred times its size.
 */
export class BodyPieces {
  readonly #kept: Buffer[] = [];
  #block = EMPTY;
  #used = 0;

  /** Number of buffers that are kept. */
  get count(): number {
    return this.#kept.length + (this.#used > 0 ? 1 : 0);
  }

  add(piece: Buffer): void {
    // Most bodies are one piece.
    if (piece.length >= LARGE_BYTES || this.count === 0) {
      this.#closeBlock();
      this.#kept.push(piece);
      return;
    }
    if (this.#used + piece.length > this.#block.length) {
      this.#closeBlock();
      this.#block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
    }
    this.#used += piece.copy(this.#block, this.#used);
  }

  /** Returns the whole body. */
  join(): Buffer {
    this.#closeBlock();
    return this.#kept.length === 1 ? (this.#kept[0] ?? EMPTY) : Buffer.concat(this.#kept);
  }

  #closeBlock(): void {
    if (this.#used > 0) this.#kept.push(this.#block.subarray(0, this.#used));
    this.#block = EMPTY;
    this.#used = 0;
  }
}

function tooLong(maxBytes: number): BodyOutcome {
  const error = new AipassError('BAD_REQUEST', `the body is longer than the limit of ${maxBytes} bytes`, {
    hint: 'shorten it, or raise limits.frameBytes',
  });
  return { kind: 'refused', status: 413, error };
}

function tooMuchWaiting(): BodyOutcome {
  const error = new AipassError('BAD_REQUEST', "this user's requests are too large together", {
    hint: 'wait for answers before sending more, or raise limits.perUser.waitingBytes',
    retryAfterMs: 1000,
  });
  return { kind: 'refused', status: 429, error };
}

function silent(): BodyOutcome {
  const error = new AipassError('TIMED_OUT', 'the body of the request stopped arriving', {
    hint: 'send it without pauses',
  });
  return { kind: 'refused', status: 408, error };
}
