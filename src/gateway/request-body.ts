/**
 * Reading a request's body whole: a refused key means that the same bytes go out again. Bounded in
 * size, in silence, and by what one user may have waiting.
 */

import type { IncomingMessage } from 'node:http';
import { BytePieces } from '../base/byte-pieces.ts';
import { AipassError } from '../base/errors.ts';
import { overUserLimit } from '../callers/user-limits.ts';

/** Time between two pieces of a body, in milliseconds. */
const SILENCE_MS = 30_000;

/** Bounds of a body. */
export interface BodyLimits {
  readonly maxBytes: number;
  readonly silenceMs?: number;
  /** Counts bytes that wait for this user; false where there are too many. */
  readonly wait: (bytes: number) => boolean;
  /** Called before the first byte is read, where the announced length is none to refuse. */
  readonly onWanted?: () => void;
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
export async function readBody(request: IncomingMessage, limits: BodyLimits): Promise<BodyOutcome> {
  const announced = Number(request.headers['content-length'] ?? 0);
  if (announced > limits.maxBytes) return tooLong(limits.maxBytes);
  limits.onWanted?.();
  const reading = new BodyReading(request, limits);
  // Most bodies come with their head, and are whole before anything is waited for.
  await Promise.resolve();
  return reading.outcome ?? (await reading.wait());
}

/**
 * Body that is being read. The parser of node:http hands its pieces to `push` (nodejs.org,
 * "Implementing a readable stream"): taken there, they need neither a buffer nor events.
 */
class BodyReading {
  readonly #request: IncomingMessage;
  readonly #limits: BodyLimits;
  readonly #pieces = new BytePieces();
  #bytes = 0;
  #outcome: BodyOutcome | undefined;
  #resolve: ((outcome: BodyOutcome) => void) | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(request: IncomingMessage, limits: BodyLimits) {
    this.#request = request;
    this.#limits = limits;
    request.push = (piece: Buffer | null) => {
      if (piece === null) this.#finish({ kind: 'read', body: this.#pieces.take() });
      else this.#take(piece);
      return true;
    };
    // Without it, node:http would read the body once more, to get it out of the way.
    request._read(0);
    request.on('close', () => this.#finish({ kind: 'lost' }));
  }

  /** Outcome, once there is one. */
  get outcome(): BodyOutcome | undefined {
    return this.#outcome;
  }

  /** Resolves with the outcome. */
  wait(): Promise<BodyOutcome> {
    this.#timer = setTimeout(() => this.#finish(silent()), this.#limits.silenceMs ?? SILENCE_MS);
    return new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  #take(piece: Buffer): void {
    const { maxBytes, wait } = this.#limits;
    this.#timer?.refresh();
    this.#bytes += piece.length;
    this.#pieces.add(piece);
    const isRoom = wait(piece.length);
    if (this.#bytes > maxBytes) this.#finish(tooLong(maxBytes));
    else if (!isRoom) this.#finish(tooMuchWaiting());
  }

  #finish(outcome: BodyOutcome): void {
    if (this.#outcome) return;
    this.#outcome = outcome;
    clearTimeout(this.#timer);
    if (outcome.kind !== 'read') {
      this.#limits.wait(-this.#bytes);
      // What still comes is the stream's again.
      Reflect.deleteProperty(this.#request, 'push');
    }
    this.#resolve?.(outcome);
  }
}

function tooLong(maxBytes: number): BodyOutcome {
  const error = new AipassError('BAD_REQUEST', `the body is longer than the limit of ${maxBytes} bytes`, {
    hint: 'shorten it, or raise limits.frameBytes',
  });
  return { kind: 'refused', status: 413, error };
}

function tooMuchWaiting(): BodyOutcome {
  return { kind: 'refused', status: 429, error: overUserLimit({ limit: 'waitingBytes', retryAfterMs: 1000 }) };
}

function silent(): BodyOutcome {
  const error = new AipassError('TIMED_OUT', 'the body of the request stopped arriving', {
    hint: 'send it without pauses',
  });
  return { kind: 'refused', status: 408, error };
}
