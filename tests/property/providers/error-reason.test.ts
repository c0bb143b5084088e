import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { Secret } from '../../../src/base/secret.ts';
import { readError, redactWith, safeReason } from '../../../src/providers/error-reason.ts';
import { numRuns } from '../../support/num-runs.ts';

const key = fc.stringMatching(/^[A-Za-z0-9_-]{20,80}$/);

/**
 * A document that holds the key in some of its texts, in shapes that providers use and in others.
 */
function documentWith(secret: string): fc.Arbitrary<unknown> {
  const text = fc.oneof(
    fc.string(),
    fc.string().map((before) => `${before} ${secret} `),
    fc.constant(secret),
  );
  const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      text,
      fc.integer(),
      fc.constant(null),
      fc.array(tie('tree'), { maxLength: 3 }),
      fc.dictionary(
        fc.constantFrom('error', 'message', 'code', 'type', 'status', 'detail', 'msg', 'metadata', 'raw'),
        tie('tree'),
      ),
    ),
  }));
  return tree;
}

test('no reason holds the key in use, whatever the document echoes', () => {
  fc.assert(
    fc.property(
      key.chain((secret) => fc.tuple(fc.constant(secret), documentWith(secret))),
      ([secret, document]) => {
        const reason = safeReason(document, redactWith(new Secret(secret))) ?? '';
        expect(reason.includes(secret)).toBe(false);
        expect(reason.length).toBeLessThanOrEqual(300);
        expect(reason).not.toMatch(/\p{Cc}/u);
      },
    ),
    { numRuns: numRuns(150) },
  );
});

test('any JSON at all is read without a throw', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (document) => {
      readError(document);
    }),
  );
});
