import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { shellQuote } from '../../../src/base/shell-quote.ts';

test.each(['/plain/path', '/with space', "/it's", '/a"b$c`d', '/new\nline', "/tab\t'\\x", '/umläut'])(
  'a shell reads %j back as it was',
  (path) => {
    const quoted = shellQuote(path);
    expect(quoted).not.toContain('\n');
    expect(execFileSync('bash', ['-c', `printf %s ${quoted}`], { encoding: 'utf8' })).toBe(path);
  },
);

test.each(['/plain/path', 'a@b:c,d=e+f%', '-'])('%j needs no quotes', (word) => {
  expect(shellQuote(word)).toBe(word);
});
