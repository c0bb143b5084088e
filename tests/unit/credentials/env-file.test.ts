import { expect, test } from 'vitest';
import { parseEnvFile } from '../../../src/credentials/env-file.ts';
import { ENV_TEMPLATE } from '../../../src/credentials/template.ts';

const read = (text: string): Record<string, string> => Object.fromEntries(parseEnvFile(text).entries);
const problems = (text: string): string[] =>
  parseEnvFile(text).problems.map(({ line, problem }) => `${line} ${problem}`);

test('quotes, export, comments, colons and blank lines are read as dotenv reads them', () => {
  const text = [
    '# a comment',
    '',
    'PLAIN=sk-plain # a comment',
    'export EXPORTED = spaced ',
    `SINGLE='single # no comment' # a comment`,
    'DOUBLE="two\\nlines"',
    'BACKTICK=`it\'s "both"`',
    'YAML: colon',
    'EMPTY=',
    'JSON={"a": 1}',
    '  INDENTED=yes',
  ].join('\n');
  expect(problems(text)).toEqual([]);
  expect(read(text)).toEqual({
    PLAIN: 'sk-plain',
    EXPORTED: 'spaced',
    SINGLE: 'single # no comment',
    DOUBLE: 'two\nlines',
    BACKTICK: `it's "both"`,
    YAML: 'colon',
    EMPTY: '',
    JSON: '{"a": 1}',
    INDENTED: 'yes',
  });
});

test('a byte order mark and line ends of Windows and old Macs are tolerated', () => {
  expect(read('\uFEFFA=1\r\nB="2"\r\n\r\n# c\r\nC=3\rD=4')).toEqual({ A: '1', B: '2', C: '3', D: '4' });
  expect(problems('\uFEFFA=1\r\nB="2"\r\n\r\n# c\r\nC=3\rD=4')).toEqual([]);
});

test('a value in quotes may span lines, and the lines after it are counted right', () => {
  const text = `PEM="-----BEGIN-----\nabc=\n-----END-----" # yes\nnonsense\nA='x\\'y'`;
  expect(read(text)).toEqual({ PEM: '-----BEGIN-----\nabc=\n-----END-----', A: "x\\'y" });
  expect(parseEnvFile(text).problems.map(({ line, malformed }) => [line, malformed])).toEqual([[4, true]]);
});

test('good lines are taken beside bad ones, and a bad line names its variable where it has one', () => {
  const text = 'A=1\nno assignment\nB="open\nC=3\nD="a" b\n=x\n__proto__=1\nE=5';
  expect(read(text)).toEqual({ A: '1', C: '3', E: '5' });
  expect(parseEnvFile(text).problems.map(({ line, name, malformed }) => [line, name, malformed])).toEqual([
    [2, undefined, true],
    [3, 'B', true],
    [5, 'D', true],
    [6, undefined, true],
    [7, undefined, true],
  ]);
});

test('a quote that is closed only by a later variable swallows nothing unnoticed', () => {
  expect(problems('A="open\nB_KEY=2\nC="')).toEqual([
    expect.stringMatching(/^1 .*after further assignments/),
    expect.stringMatching(/^3 .*not closed/),
  ]);
  expect(read('A="open\nB_KEY=2\nC="')).toEqual({ B_KEY: '2' });
});

test('of a name that is set twice the last value counts, and the second line is named', () => {
  expect(read('A=1\nB=2\nA=3')).toEqual({ A: '3', B: '2' });
  expect(parseEnvFile('A=1\nB=2\nA=3').problems).toEqual([
    {
      line: 3,
      problem: expect.stringMatching(/ A .*line 1/),
      malformed: false,
      hint: expect.stringMatching(/line 1 .*line 3/),
    },
  ]);
  const thrice = parseEnvFile('A=1\nB=no\nA=2\nnonsense\nA=3').problems;
  expect(thrice.map(({ line }) => line)).toEqual([4, 5]);
});

test('a placeholder or an empty value above a key is no duplicate, one below it is', () => {
  for (const text of ['A=\nA=sk-real', 'A=sk-your-key-here\nA=sk-real', 'A=\nA=changeme\nA=sk-real']) {
    expect(parseEnvFile(text)).toEqual({ entries: new Map([['A', 'sk-real']]), problems: [], cut: new Set() });
  }
  expect(parseEnvFile('A=sk-real\nA=').problems).toMatchObject([{ line: 2, hint: expect.stringMatching(/1.*2/) }]);
  expect(parseEnvFile(`${ENV_TEMPLATE}OPENROUTER_API_KEY=sk-or-v1-real\n`).problems).toEqual([]);
});

test('a bare key that ends like an assignment is not taken for a name that may be said', () => {
  expect(problems('c2VjcmV0LWtleQ==\nc2VjcmV0LWtleQ==')).toEqual([expect.stringMatching(/^2 .*unusual name.*line 1/)]);
});

test('a line that is not an assignment and a name that cannot be used have a hint each', () => {
  const [first, second] = parseEnvFile('a note\n\u00dcBER_API_KEY=x\n').problems;
  expect([first?.hint, second?.hint]).toEqual([expect.stringContaining('line 1'), expect.stringContaining('line 2')]);
  expect(first?.problem).not.toBe(second?.problem);
});

test('an invisible line separator is named', () => {
  const found = parseEnvFile('A=1\u2028B=2\nC="x\u2029\ny"').problems;
  expect(found.map(({ line }) => line)).toEqual([1, 2, 3]);
  expect(found[0]?.problem).toContain('line separator');
});

test.each([
  ['blank lines', '\n'.repeat(1_000_000)],
  ['one long value', `A="${'x'.repeat(1_000_000)}"`],
  ['lines that open a quote', `A='b\n`.repeat(150_000)],
  ['a quote full of escaped quotes', `A='${"\\'".repeat(450_000)}`],
  ['white space', `A=${' '.repeat(1_000_000)}x`],
  ['one name', 'A=1\n'.repeat(250_000)],
  ['words without an assignment', 'export '.repeat(140_000)],
])('a mebibyte of %s is read in one pass', (_what, text) => {
  // Anything that looks back at each step would take longer than a test may.
  expect(() => parseEnvFile(text)).not.toThrow();
});

test('a value that is cut at a "#" is reported, a comment and a quoted value are not', () => {
  expect(parseEnvFile('A_API_KEY=abc#tail').problems).toMatchObject([{ line: 1, malformed: false }]);
  expect(parseEnvFile('export A_API_KEY = abc#tail').problems).toHaveLength(1);
  for (const text of ['A=abc # tail', 'A="abc#tail"', 'A=# nothing', 'A=#x', '# A=abc#tail', 'A=abc#']) {
    expect(parseEnvFile(text).problems).toEqual([]);
  }
  expect(parseEnvFile('A=abc#tail\nB=abc # tail\nC=abc#tail\nC=whole').cut).toEqual(new Set(['A']));
});
