/**
 * The `.env` reader against dotenv itself, and against any text whatever.
 */

import { parse } from 'dotenv';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseEnvFile } from '../../../src/credentials/env-file.ts';
import { numRuns } from '../../support/num-runs.ts';

const name = fc.stringMatching(/^[A-Z][A-Z0-9_]{0,12}$/);

/**
 * Makes pieces from which the hard cases arise: quotes, escapes, separators, comments and the
 * beginnings of lines.
 */
const pieces = fc.constantFrom(
  'A',
  'B_2',
  'export',
  'export ',
  '=',
  ' = ',
  ': ',
  ':',
  "'",
  '"',
  '`',
  '\\',
  "\\'",
  '\\"',
  '\\n',
  '#',
  ' # x',
  '\n',
  '\r\n',
  '\r',
  ' ',
  '\t',
  'sk-1',
  'value',
  '{"a":1}',
  '\uFEFF',
  '\u2028',
  '\u00A0',
  'ä',
  '__proto__',
  '.',
  '-',
);
const roughText = fc.array(pieces, { maxLength: 40 }).map((parts) => parts.join(''));

/** Makes whole lines, of which most are good. */
const lines = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .tuple(name, fc.constantFrom('=', ' = ', ': '), fc.stringMatching(/^[!-~]{0,20}$/))
      .map((line) => line.join('')),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(name, fc.constantFrom("'", '"', '`'), fc.string({ maxLength: 12 }))
      .map(([n, q, v]) => `${n}=${q}${v}${q}`),
  },
  { weight: 1, arbitrary: roughText },
);
const text = fc.oneof(
  roughText,
  fc.array(lines, { maxLength: 8 }).map((all) => all.join('\n')),
);

test('never throws, whatever the text', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary', maxLength: 200 }), text), (any) => {
      const { entries, problems } = parseEnvFile(any);
      expect(entries).toBeInstanceOf(Map);
      for (const problem of problems) expect(problem.line).toBeGreaterThan(0);
    }),
    { numRuns: numRuns(300, 2000) },
  );
});

test('agrees with dotenv wherever no line is malformed', () => {
  let compared = 0;
  fc.assert(
    fc.property(text, (any) => {
      const { entries, problems } = parseEnvFile(any);
      if (problems.some((problem) => problem.malformed)) return;
      compared += 1;
      expect(Object.fromEntries(entries)).toEqual({ ...parse(any) });
    }),
    { numRuns: numRuns(1500, 5000) },
  );
  expect(compared).toBeGreaterThan(500);
});

test('every malformed line is named, so that no name of dotenv is missing in silence', () => {
  fc.assert(
    fc.property(text, (any) => {
      const { entries, problems } = parseEnvFile(any);
      const missing = Object.keys(parse(any)).filter((key) => !entries.has(key));
      expect(missing.length === 0 || problems.some((problem) => problem.malformed)).toBe(true);
    }),
    { numRuns: numRuns(300, 2000) },
  );
});

test('gives back what was written, however it was quoted, ended and commented', () => {
  const value = fc.stringMatching(/^[A-Za-z0-9_.+/=:-]{1,40}$/);
  const entry = fc.record({
    name,
    value,
    quote: fc.constantFrom('', "'", '"', '`'),
    prefix: fc.constantFrom('', 'export ', '  '),
    comment: fc.constantFrom('', ' # a comment', '\t#x'),
  });
  const unique = fc.uniqueArray(entry, { selector: (one) => one.name, maxLength: 10 });
  fc.assert(
    fc.property(unique, fc.constantFrom('\n', '\r\n', '\n\n# between\n'), fc.boolean(), (entries, end, mark) => {
      const printed = entries.map(
        (one) => `${one.prefix}${one.name}=${one.quote}${one.value}${one.quote}${one.comment}`,
      );
      const result = parseEnvFile(`${mark ? '\uFEFF' : ''}${printed.join(end)}${end}`);
      expect(result.problems).toEqual([]);
      expect([...result.entries]).toEqual(entries.map((one) => [one.name, one.value]));
    }),
  );
});

test('no problem quotes a value', () => {
  const secret = fc.stringMatching(/^canary[a-z0-9]{8}$/);
  const line = fc.tuple(pieces, pieces, secret, pieces).map(([a, b, value, c]) => `A${a}${b}${value}${c}`);
  fc.assert(
    fc.property(fc.array(line, { maxLength: 6 }), (all) => {
      // A word before an equals sign is a name, and names may be said.
      const { problems } = parseEnvFile(all.join('\n'));
      const said = problems.filter(({ malformed }) => malformed).map(({ problem }) => problem);
      expect(said.join()).not.toContain('canary');
    }),
  );
});
