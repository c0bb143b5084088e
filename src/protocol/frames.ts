/**
 * Cuts a stream of text into frames and turns them into messages, and back.
 *
 * Work is linear in the bytes received: an unfinished frame is kept as a list of chunks, and only
 * the newest chunk is searched. A frame over the limit fails as soon as it is known to be too long,
 * however slowly it arrives.
 */

import { isDeeperThan } from '../base/json.ts';
import { FRAME_END } from './messages.ts';

/** Error of a refused frame. Its connection may be out of step and must be closed. */
export class FrameError extends Error {
  override readonly name = 'FrameError';
  readonly hint: string;

  constructor(message: string, hint = 'send node-ipc frames: {"type":…,"data":…} and a form feed') {
    super(message);
    this.hint = hint;
  }
}

/** An envelope with unchecked content. */
export interface Envelope {
  readonly type: string;
  readonly data: unknown;
}

/** Chunks of a frame whose end has not arrived. */
export class PartialFrame {
  readonly #chunks: string[];
  #bytes: number;
  /** Time when the frame began, on the monotonic clock, in milliseconds. */
  readonly since: number;

  constructor(first: string, since: number) {
    this.#chunks = [first];
    this.#bytes = Buffer.byteLength(first);
    this.since = since;
  }

  /** UTF-8 bytes received so far. */
  get bytes(): number {
    return this.#bytes;
  }

  append(chunk: string): void {
    this.#chunks.push(chunk);
    this.#bytes += Buffer.byteLength(chunk);
  }

  /** Returns the whole frame, given its last piece. */
  finish(last: string): string {
    this.#chunks.push(last);
    return this.#chunks.join('');
  }
}

/**
 * Takes one chunk and hands each frame that it completes to `receive`; returns what is left
 * unfinished.
 *
 * @throws FrameError when a frame, finished or not, is longer than `maxBytes` of UTF-8, or begins
 * nested too deep.
 */
export function readFrames(
  partial: PartialFrame | undefined,
  chunk: string,
  maxBytes: number,
  receive: (frame: string) => void,
): PartialFrame | undefined {
  let rest = partial;
  let start = 0;
  for (let end = chunk.indexOf(FRAME_END); end !== -1; end = chunk.indexOf(FRAME_END, start)) {
    const last = chunk.slice(start, end);
    // A UTF-16 unit is at most 3 bytes of UTF-8: short frames need no exact count.
    if ((rest?.bytes ?? 0) + last.length * 3 > maxBytes)
      assertFits((rest?.bytes ?? 0) + Buffer.byteLength(last), maxBytes);
    const frame = rest ? rest.finish(last) : last;
    rest = undefined;
    start = end + FRAME_END.length;
    receive(frame);
  }
  if (start === chunk.length) return rest;

  const tail = start === 0 ? chunk : chunk.slice(start);
  if (rest) rest.append(tail);
  else {
    // A frame that is too deep at its beginning is refused at once.
    assertShallow(tail);
    rest = new PartialFrame(tail, performance.now());
  }
  assertFits(rest.bytes, maxBytes);
  return rest;
}

function assertShallow(text: string): void {
  if (isDeeperThan(text, MAX_JSON_DEPTH)) {
    throw new FrameError(`a frame is nested deeper than ${MAX_JSON_DEPTH} levels`, 'nest it less deeply');
  }
}

function assertFits(bytes: number, maxBytes: number): void {
  if (bytes > maxBytes) {
    const problem = `a frame is longer than the limit of ${maxBytes} bytes`;
    throw new FrameError(problem, 'shorten it, or raise limits.frameBytes');
  }
}

/** Returns whether a printed frame, without its end, is longer than `maxBytes` of UTF-8. */
export function isLongerThan(frame: string, maxBytes: number): boolean {
  // As above: short frames need no exact count.
  return frame.length * 3 > maxBytes && Buffer.byteLength(frame) - FRAME_END.length > maxBytes;
}

/**
 * Reads one frame as an envelope.
 *
 * @throws FrameError if it is not a JSON object with a text as `type`. The message never quotes the
 * frame.
 */
export function parseEnvelope(frame: string): Envelope {
  assertShallow(frame);
  let value: unknown;
  try {
    value = JSON.parse(frame);
  } catch {
    throw new FrameError('a frame is not valid JSON');
  }
  if (typeof value !== 'object' || value === null || !('type' in value) || typeof value.type !== 'string') {
    throw new FrameError('a frame is not an object with a type');
  }
  return { type: value.type, data: 'data' in value ? value.data : undefined };
}

/** Prints an envelope as one frame, its end included. */
export function printFrame(type: string, data: unknown): string {
  // One level less for JSON.stringify is a third of its time. Where there is no data there is no
  // field.
  const printed: string | undefined = JSON.stringify(data);
  const field = printed === undefined ? '' : `,"data":${printed}`;
  return `{"type":${JSON.stringify(type)}${field}}${FRAME_END}`;
}

/** Maximum nesting: far deeper than any tool schema, and parsed in well under a millisecond. */
const MAX_JSON_DEPTH = 500;
