import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { FormFinder, type AnswerForm } from '../../../src/completions/answer-form.ts';

interface Found {
  readonly form: AnswerForm | undefined;
  readonly bytes: string;
}

/** Gives the pieces to a finder, and the end where they decided nothing. */
function find(pieces: readonly Buffer[]): Found {
  const finder = new FormFinder();
  const seen: Buffer[] = [];
  let form: AnswerForm | undefined;
  for (const piece of pieces) {
    if (form !== undefined) {
      seen.push(piece);
      continue;
    }
    const found = finder.push(piece);
    seen.push(found.passedOver, found.rest);
    ({ form } = found);
  }
  if (form !== undefined) return { form, bytes: Buffer.concat(seen).toString('latin1') };
  const last = finder.end();
  return { form: last.form, bytes: Buffer.concat([...seen, last.passedOver, last.rest]).toString('latin1') };
}

const ANSWERS: readonly (readonly [string, AnswerForm | undefined])[] = [
  ['', undefined],
  ['\n \t\r\n', 'opaque'],
  ['{"a":1}', 'json'],
  ['\uFEFF [1]', 'json'],
  ['\uFEFF: busy\r\rdata: x\n\n', 'events'],
  [': busy\n\n: busy\n\n{"a":1}', 'json'],
  [': busy\r\n\r\nevent: x\r\ndata: y\r\n\r\n', 'events'],
  ['foo: bar\nretry: 3\n\n', 'events'],
  ['dataretry: 3\ndata: x\n\n', 'events'],
  ['data', 'events'],
  ['data\n\n', 'events'],
  ['database down', 'opaque'],
  ['  <html>', 'page'],
  [': only a comment', 'events'],
  ['\u00ef\u00bb x', 'opaque'],
  ['Internal Server Error', 'opaque'],
  ['word'.repeat(40), 'opaque'],
];

test.each(ANSWERS)('the form of %j is %s, wherever it is cut, and no byte is lost', (text, form) => {
  const bytes = Buffer.from(text, text.startsWith('\u00ef') ? 'latin1' : 'utf8');
  fc.assert(
    fc.property(fc.array(fc.nat(bytes.length), { maxLength: 12 }), (places) => {
      const cuts = [0, ...places.toSorted((a, b) => a - b), bytes.length];
      const pieces = cuts.slice(1).map((end, at) => bytes.subarray(cuts[at], end));
      expect(find(pieces)).toEqual({ form, bytes: bytes.toString('latin1') });
    }),
  );
});

test('very many comments are events, and a line without an end is passed over as it comes', () => {
  expect(find([Buffer.from(': busy\n\n'.repeat(10_000))]).form).toBe('events');
  const finder = new FormFinder();
  finder.push(Buffer.from(':'));
  for (let at = 0; at < 60_000; at += 1) expect(finder.push(Buffer.from('x')).passedOver).toHaveLength(1);
});
