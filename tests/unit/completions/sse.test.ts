import { describe, expect, test } from 'vitest';
import { ExchangeFailure } from '../../../src/providers/http-exchange.ts';
import { dataOf, MAX_EVENT_BYTES, SseSplitter } from '../../../src/completions/sse.ts';

/** Returns the data of each event, with all bytes joined again. */
function read(pieces: readonly Buffer[]): { data: (string | undefined)[]; bytes: string } {
  const splitter = new SseSplitter();
  const events: Buffer[] = [];
  for (const piece of pieces) splitter.push(piece, (raw) => events.push(raw));
  splitter.end((raw) => events.push(raw));
  return { data: events.map((raw) => dataOf(raw)?.toString()), bytes: Buffer.concat(events).toString() };
}

const dataIn = (text: string): (string | undefined)[] =>
  read([Buffer.from(text)]).data.filter((data) => data !== undefined);

describe('events', () => {
  test.each([
    ['end with an empty line', 'data: a\n\ndata: b\n\n', ['a', 'b']],
    ['may have CR LF', 'data: a\r\n\r\ndata: b\r\n\r\n', ['a', 'b']],
    ['may have CR alone', 'data: a\r\rdata: b\r\r', ['a', 'b']],
    ['may mix line ends', 'data: a\n\r\ndata: b\r\r\n', ['a', 'b']],
    ['may have no blank after the colon', 'data:a\n\n', ['a']],
    ['may have a byte order mark', '\ufeffdata: a\n\n', ['a']],
    ['may end without an empty line', 'data: a', ['a']],
    ['join their lines of data', 'data: {\ndata: }\n\n', ['{\n}']],
    ['have other fields and comments beside', ': x\nevent: m\nid: 7\nretry: 1\ndata: a\n: y\n\n', ['a']],
    ['keep a blank of their own', 'data:  a\n\n', [' a']],
    ['hold no data in fields that begin alike', 'database: a\n\n', []],
    ['without data dispatch nothing', 'data:\n\ndata\n\ndata: \n\nevent: ping\n\n: ping\n\n\n\n', []],
  ])('%s', (_what, text, data) => {
    expect(dataIn(text)).toEqual(data);
  });

  test('keep every byte, wherever they are cut', () => {
    const text = '\ufeff: x\r\n\r\ndata: é😀\r\n\r\ndata: b\n\n\ndata: c\r\rdata: d';
    const whole = read([Buffer.from(text)]);
    expect(whole.bytes).toBe(text);
    const single = read([...Buffer.from(text)].map((byte) => Buffer.of(byte)));
    expect(single.bytes).toBe(text);
    expect(single.data.filter((data) => data !== undefined)).toEqual(['é😀', 'b', 'c', 'd']);
  });
});

describe('the length of an event', () => {
  test('is bounded', () => {
    expect(() => read([Buffer.alloc(MAX_EVENT_BYTES + 1, 'x')])).toThrow(ExchangeFailure);
  });

  test.each(['\n\n', '\r\n\r\n', '\r\r'])(
    'begins anew after each event that ends with %j, so that a stream may be as long as it likes',
    (end) => {
      const event = Buffer.from(`data: ${'x'.repeat(1024 * 1024)}${end}`);
      expect(() => read(Array.from({ length: 17 }, () => event))).not.toThrow();
    },
  );
});
