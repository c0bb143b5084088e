/**
 * The reading half of the parser that node-ipc is given: frames out of chunks, in turns where many come at once, and
 * every failure contained. What node-ipc dispatches comes back here, on its way to its connection.
 */

import type { Logger } from '../base/logger.ts';
import { parseEnvelope, readFrames } from '../protocol/frames.ts';
import { bookWaiting, type Line } from './line.ts';
import { describeReadFailure, tooMuchWaiting } from './refusals.ts';
import { AT_ONCE, Turns } from './turns.ts';

/** Names the types that may reach node-ipc's dispatcher, which has events of its own by the same way. */
export const PASSED_ON: readonly string[] = ['hello', 'request', 'cancel'];

/** Says how frames are read. */
export interface FrameReaderOptions {
  /** Is how long a frame may be. */
  readonly frameBytes: number;
  readonly logger: Logger;
}

/** Reads the frames of all lines. */
export class FrameReader {
  readonly #options: FrameReaderOptions;
  readonly #turns = new Turns((line, frame) => this.#handleLater(line, frame));

  constructor(options: FrameReaderOptions) {
    this.#options = options;
  }

  /** Reads a chunk; node-ipc calls it with what the server left in `ipcBuffer`, and keeps what it returns. Never throws. */
  readonly read = (
    kept: unknown,
    chunk: string,
    receive: (message: { type: string; data: unknown }) => void,
  ): unknown => {
    if (!isLine(kept) || kept.peer.isEnding) return kept;
    kept.activeAt = performance.now();
    try {
      const before = kept.partial;
      let handled = 0;
      kept.partial = readFrames(before, chunk, this.#options.frameBytes, (frame) => {
        if (kept.peer.isEnding) return;
        handled += 1;
        if (handled > AT_ONCE || kept.backlog.length > 0) {
          kept.backlog.push(frame);
          return;
        }
        const { type, data } = parseEnvelope(frame);
        kept.frameLength = frame.length;
        if (PASSED_ON.includes(type)) receive({ type, data });
        else kept.connection.receive(type, data, frame.length);
      });
      if (kept.backlog.length > 0) this.#turns.add(kept);
      // Frames that come whole wait for nothing: only what stays unfinished is booked.
      if ((before !== undefined || kept.partial !== undefined) && !bookWaiting(kept)) throw tooMuchWaiting();
    } catch (error) {
      kept.partial = undefined;
      kept.connection.fail(describeReadFailure(error, this.#options.logger));
    }
    return kept;
  };

  /** Returns the listener for what node-ipc's dispatcher gets of one type. */
  deliver(type: string): (data: unknown, socket: { readonly ipcBuffer?: unknown }) => void {
    return (data, { ipcBuffer: line }) => {
      if (isLine(line)) line.connection.receive(type, data, line.frameLength);
    };
  }

  #handleLater(line: Line, frame: string): void {
    try {
      const { type, data } = parseEnvelope(frame);
      line.connection.receive(type, data, frame.length);
    } catch (error) {
      line.connection.fail(describeReadFailure(error, this.#options.logger));
    }
  }
}

function isLine(kept: unknown): kept is Line {
  return typeof kept === 'object' && kept !== null && 'connection' in kept;
}
