import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { removeVariable, setVariable } from '../../src/credentials/env-edit.ts';
import { parseEnvFile } from '../../src/credentials/env-file.ts';

/**
 * Text as people have it in `.env`: assignments, comments, quotes open and closed, every line end.
 */
const piece = fc.constantFrom(
  'A=1',
  "A='x y' # note",
  'export B = "two"',
  'B="open',
  '# comment with A=1',
  '',
  '  C: three',
  'D=`multi\nline`',
  'A=',
  'not an assignment',
  '\uFEFF',
);
const text = fc
  .array(fc.tuple(piece, fc.constantFrom('\n', '\r\n', '\r', '')), { maxLength: 12 })
  .map((pieces) => pieces.map(([line, end]) => line + end).join(''));
const name = fc.constantFrom('A', 'B', 'C', 'D', 'NEW_API_KEY_2');
/** Visible ASCII, as keys are. */
const value = fc.stringMatching(/^[\x21-\x7e]{1,40}$/);

describe('editing .env', () => {
  it('either sets exactly one variable or refuses', () => {
    fc.assert(
      fc.property(text, name, value, (before, key, wanted) => {
        const edit = setVariable(before, key, wanted);
        if (edit.kind === 'refused') return;
        const was = parseEnvFile(before).entries;
        expect(parseEnvFile(edit.text).entries).toEqual(new Map([...was, [key, wanted]]));
      }),
    );
  });

  it('either removes exactly one variable or refuses', () => {
    fc.assert(
      fc.property(text, name, (before, key) => {
        const edit = removeVariable(before, key);
        if (edit.kind === 'refused') return;
        const expected = new Map(parseEnvFile(before).entries);
        expected.delete(key);
        expect(parseEnvFile(edit.text).entries).toEqual(expected);
      }),
    );
  });

  it('keeps every line that is not the variable’s own', () => {
    fc.assert(
      fc.property(text, value, (before, wanted) => {
        const edit = setVariable(before, 'NEW_API_KEY_2', wanted);
        if (edit.kind === 'refused') return;
        expect(edit.text.startsWith(before)).toBe(true);
      }),
    );
  });
});
