/**
 * The codec against any messages, cut anywhere, and against garbage.
 */

import { StringDecoder } from 'node:string_decoder';
import * as fc from 'fast-check';
import { afterEach, expect, test, vi } from 'vitest';
import { FrameError, PartialFrame, parseEnvelope, printFrame, readFrames } from '../../../src/protocol/frames.ts';

const envelope = fc.record({ type: fc.string({ unit: 'binary' }), data: fc.jsonValue() });

/**
 * Text of all kinds: plain, of many bytes, form feeds, halves of pairs, and what JSON is made of.
 */
const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc
    .array(fc.constantFrom('\f', '{', '}', '"', 'type', ':', '[', ',', '\\', '\u0000', '\ud800', '\udc00', '世', 'x'))
    .map((pieces) => pieces.join('')),
);

/** Cuts bytes at any places, within characters too, and decodes the pieces as a socket does. */
function cut(bytes: Buffer, places: readonly number[]): string[] {
  const decoder = new StringDecoder('utf8');
  const cuts = places.map((place) => place % (bytes.length + 1)).toSorted((a, b) => a - b);
  const ends = [...cuts, bytes.length];
  return ends.map((end, index) => decoder.write(bytes.subarray(cuts[index - 1] ?? 0, end)));
}

function receiveAll(chunks: readonly string[], maxBytes: number, receive: (frame: string) => void): void {
  let rest: PartialFrame | undefined;
  for (const chunk of chunks) rest = readFrames(rest, chunk, maxBytes, receive);
}

afterEach(() => {
  vi.restoreAllMocks();
});

test('any messages, cut at any places, arrive as they were sent', () => {
  fc.assert(
    fc.property(fc.array(envelope), fc.array(fc.nat()), (messages, places) => {
      const bytes = Buffer.from(messages.map(({ type, data }) => printFrame(type, data)).join(''));
      const received: unknown[] = [];
      receiveAll(cut(bytes, places), bytes.length + 1, (frame) => received.push(parseEnvelope(frame)));
      expect(received).toStrictEqual(JSON.parse(JSON.stringify(messages)));
    }),
  );
});

test('any text, cut at any places, gives the frames that it has as a whole', () => {
  fc.assert(
    fc.property(text, fc.array(fc.nat()), (whole, places) => {
      const bytes = Buffer.from(whole);
      const frames: string[] = [];
      receiveAll(cut(bytes, places), Infinity, (frame) => frames.push(frame));
      expect(frames).toStrictEqual(bytes.toString().split('\f').slice(0, -1));
    }),
  );
});

test('a broken frame between good ones costs no other', () => {
  fc.assert(
    fc.property(
      fc.array(envelope),
      fc.array(envelope),
      text.map((one) => one.replaceAll('\f', '')),
      fc.array(fc.nat()),
      (before, after, broken, places) => {
        const print = (messages: typeof before): string =>
          messages.map(({ type, data }) => printFrame(type, data)).join('');
        const bytes = Buffer.from(`${print(before)}not JSON:${broken}\f${print(after)}`);
        const received: unknown[] = [];
        let lost = 0;
        receiveAll(cut(bytes, places), Infinity, (frame) => {
          try {
            received.push(parseEnvelope(frame));
          } catch {
            lost += 1;
          }
        });
        expect(lost).toBe(1);
        expect(received).toStrictEqual(JSON.parse(JSON.stringify([...before, ...after])));
      },
    ),
  );
});

test('a frame over the limit fails with the first chunk that shows it, and never before', () => {
  fc.assert(
    fc.property(fc.array(text), fc.integer({ min: 0, max: 40 }), (chunks, maxBytes) => {
      let rest: PartialFrame | undefined;
      let unfinished = 0;
      for (const chunk of chunks) {
        const [first = '', ...more] = chunk.split('\f');
        const lengths = [unfinished + Buffer.byteLength(first), ...more.map((piece) => Buffer.byteLength(piece))];
        let isRefused = false;
        try {
          rest = readFrames(rest, chunk, maxBytes, () => {});
        } catch (error) {
          if (!(error instanceof FrameError)) throw error;
          isRefused = true;
        }
        expect(isRefused).toBe(lengths.some((length) => length > maxBytes));
        if (isRefused) return;
        unfinished = lengths.at(-1) ?? 0;
        expect(rest?.bytes ?? 0).toBe(unfinished);
      }
    }),
  );
});

test('garbage never throws anything but a FrameError, which does not quote it', () => {
  fc.assert(
    fc.property(fc.oneof(text, fc.json()), fc.array(fc.nat()), (garbage, places) => {
      const bytes = Buffer.from(`${garbage}\f`);
      receiveAll(cut(bytes, places), Infinity, (frame) => {
        let failure: unknown;
        try {
          expect(typeof parseEnvelope(frame).type).toBe('string');
        } catch (error) {
          failure = error;
        }
        const messages = [undefined, 'a frame is not valid JSON', 'a frame is not an object with a type'];
        expect(failure === undefined || failure instanceof FrameError).toBe(true);
        expect(messages).toContain(failure instanceof FrameError ? failure.message : undefined);
      });
    }),
  );
});

test('bytes that are no text never throw anything but a FrameError', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.array(fc.nat()), (bytes, places) => {
      receiveAll(cut(Buffer.from(bytes), places), Infinity, (frame) => {
        expect(() => parseEnvelope(frame)).toThrow(FrameError);
      });
    }),
  );
});

test('each character is appended, counted and searched a bounded number of times, however a frame is cut', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2000 }), fc.integer({ min: 1, max: 50 }), (count, size) => {
      const chunks = [...Array.from({ length: count }, () => 'x'.repeat(size)), 'x\f'];
      const total = count * size + 2;
      const append = vi.spyOn(PartialFrame.prototype, 'append');
      const finish = vi.spyOn(PartialFrame.prototype, 'finish');
      const byteLength = vi.spyOn(Buffer, 'byteLength');
      const indexOf = vi.spyOn(String.prototype, 'indexOf');
      const frames: string[] = [];
      receiveAll(chunks, 1024 * 1024, (frame) => frames.push(frame));
      const appended = append.mock.calls.reduce((sum, [chunk]) => sum + chunk.length, 0);
      const counted = byteLength.mock.calls.reduce(
        (sum, [chunk]) => sum + (typeof chunk === 'string' ? chunk.length : chunk.byteLength),
        0,
      );
      const searched = indexOf.mock.contexts.reduce((sum: number, searchedIn) => sum + String(searchedIn).length, 0);
      const joined = finish.mock.calls.length;
      vi.restoreAllMocks();
      expect(frames).toStrictEqual(['x'.repeat(total - 1)]);
      expect(appended).toBeLessThanOrEqual(total);
      expect(counted).toBeLessThanOrEqual(total);
      expect(searched).toBeLessThanOrEqual(total + 2);
      expect(joined).toBe(1);
    }),
    { numRuns: 20 },
  );
});
