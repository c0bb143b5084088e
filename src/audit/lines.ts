/**
 * Reads a file line by line with each line's place in it, in memory that does not grow with the
 * file.
 */

import { createReadStream } from 'node:fs';
import { systemErrorCode } from '../base/errors.ts';

/**
 * A line without its end, and the offset of the byte after that end. `ended` is false for a last
 * line without an end.
 */
export interface PlacedLine {
  readonly text: string;
  readonly end: number;
  readonly ended: boolean;
}

const NEWLINE = 0x0a;

/** Yields the lines of a file from its beginning; a file that does not exist has none. */
export async function* readLines(path: string): AsyncGenerator<PlacedLine> {
  let offset = 0;
  let rest: Buffer[] = [];
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 256 * 1024 })) {
      if (!(chunk instanceof Buffer)) continue;
      let start = 0;
      for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, start)) {
        const text = Buffer.concat([...rest, chunk.subarray(start, at)]).toString('utf8');
        rest = [];
        start = at + 1;
        yield { text, end: offset + start, ended: true };
      }
      if (start < chunk.length) rest.push(chunk.subarray(start));
      offset += chunk.length;
    }
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return;
    throw error;
  }
  if (rest.length > 0) yield { text: Buffer.concat(rest).toString('utf8'), end: offset, ended: false };
}
