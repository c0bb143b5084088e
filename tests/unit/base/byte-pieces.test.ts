import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { BodyPieces } from '../../../src/gateway/request-body.ts';

test('the pieces of a body are joined to the same bytes, whatever their sizes', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.nat(8), fc.nat(20_000)), { maxLength: 30 }), (sizes) => {
      const pieces = new BodyPieces();
      const sent = sizes.map((size, index) => Buffer.alloc(size, index + 1));
      for (const piece of sent) pieces.add(piece);
      expect(pieces.join().equals(Buffer.concat(sent))).toBe(true);
    }),
  );
});

test('a body in pieces of one byte is kept in few buffers', () => {
  const pieces = new BodyPieces();
  for (let index = 0; index < 100_000; index += 1) pieces.add(Buffer.from([index % 256]));
  expect(pieces.count).toBeLessThan(10);
  expect(pieces.join()).toHaveLength(100_000);
});
