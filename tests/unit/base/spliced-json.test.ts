import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  attachSplices,
  printSpliced,
  splicesOf,
  SplicingParser,
  type SplicedText,
} from '../../../src/base/spliced-json.ts';

/** Parses bytes in pieces, and prints the value again. */
function roundTrip(
  bytes: Buffer,
  cuts: readonly number[],
  minBytes: number,
): { value: unknown; printed: string; splices: number } {
  const splices = new Map<string, SplicedText>();
  const parser = new SplicingParser(splices, minBytes);
  const places = [0, ...cuts.map((at) => at % (bytes.length + 1)), bytes.length].toSorted((a, b) => a - b);
  places.slice(1).forEach((end, index) => {
    const piece = bytes.subarray(places[index], end);
    if (piece.length > 0) parser.push(piece);
  });
  const value = parser.finish();
  const pieces = value === undefined ? [] : printSpliced(JSON.stringify(value), splices);
  return { value, printed: Buffer.concat(pieces.map((piece) => Buffer.from(piece))).toString(), splices: splices.size };
}

const text = fc.string({
  unit: fc.oneof(
    fc.constantFrom('\\', '"', '\n', '\f', '😀', 'é', '\u0007'),
    fc.string({ minLength: 1, maxLength: 1 }),
  ),
});
// Not in names: Node 24.21 parses the name `"` as a backslash where it has parsed an object with
// that name before.
const document = fc.letrec((tie) => ({
  any: fc.oneof(
    text,
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.constantFrom(null, true, false),
    fc.array(tie('any'), { maxLength: 4 }),
    fc.dictionary(fc.stringMatching(/^[a-zé ]{0,12}$/), tie('any'), { maxKeys: 4 }),
  ),
})).any;

test('a document is the same after its long texts were taken out and put back, wherever it was cut', () => {
  fc.assert(
    fc.property(document, fc.array(fc.nat()), fc.nat({ max: 8 }), fc.boolean(), (value, cuts, minBytes, isPretty) => {
      const written = JSON.stringify(value, null, isPretty ? 2 : 0);
      expect(JSON.parse(roundTrip(Buffer.from(written), cuts, minBytes).printed)).toEqual(JSON.parse(written));
    }),
  );
});

describe('a long text', () => {
  const long = 'é\\"\n'.repeat(30_000);

  test('is not in the value, and is printed as it was written', () => {
    const bytes = Buffer.from(JSON.stringify({ short: 'x', long, more: [long, `${long}!`] }));
    const { value, printed, splices } = roundTrip(bytes, [100, 1000, 70_000, 90_001], 64 * 1024);
    expect(splices).toBe(3);
    expect(JSON.stringify(value).length).toBeLessThan(1000);
    expect(printed).toBe(bytes.toString());
  });

  test.each([
    ['a raw line end', Buffer.from(`{"a":"${'x'.repeat(50)}\n${'x'.repeat(50)}"}`)],
    ['an escape that is none', Buffer.from(`{"a":"${'x'.repeat(50)}\\q${'x'.repeat(50)}"}`)],
    ['half an escape', Buffer.from(`{"a":"${'x'.repeat(100)}\\u00"}`)],
    [
      'bytes that are not UTF-8',
      Buffer.concat([Buffer.from(`{"a":"${'x'.repeat(50)}`), Buffer.of(0xff), Buffer.from('"}')]),
    ],
    ['half a character', Buffer.concat([Buffer.from(`{"a":"${'x'.repeat(50)}`), Buffer.of(0xc3), Buffer.from('"}')])],
    ['no end', Buffer.from(`{"a":"${'x'.repeat(100)}`)],
  ])('with %s is not JSON', (_what, bytes) => {
    for (let at = 0; at < bytes.length; at += 7) expect(roundTrip(bytes, [at], 20).value).toBeUndefined();
  });

  test('is remembered by the value that holds its token', () => {
    const splices = new Map([['t', [Buffer.from('x')]]]);
    const value = {};
    attachSplices(value, splices);
    expect(splicesOf(value)).toBe(splices);
    expect(splicesOf({})).toBeUndefined();
    expect(splicesOf('t')).toBeUndefined();
  });
});
