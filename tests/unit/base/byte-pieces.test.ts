import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { BytePieces } from '../../../src/base/byte-pieces.ts';

test('the pieces are joined to the same bytes, whatever their sizes', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.nat(8), fc.nat(20_000)), { maxLength: 30 }), (sizes) => {
      const pieces = new BytePieces();
      const sent = sizes.map((size, index) => Buffer.alloc(size, index + 1));
      for (const piece of sent) pieces.add(piece);
      expect(pieces.take().equals(Buffer.concat(sent))).toBe(true);
    }),
  );
});

test('what comes in pieces of one byte is kept in few buffers', () => {
  const pieces = new BytePieces();
  for (let index = 0; index < 100_000; index += 1) pieces.add(Buffer.from([index % 256]));
  expect(pieces.count).toBeLessThan(20);
  expect(pieces.take()).toHaveLength(100_000);
});
