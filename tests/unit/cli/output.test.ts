import { describe, expect, it } from 'vitest';
import { AipassError } from '../../../src/base/errors.ts';
import { Output } from '../../../src/cli/output.ts';

function setUp(options: { isTTY?: boolean; env?: Record<string, string> } = {}) {
  const written = { out: '', err: '' };
  const stdout = {
    isTTY: options.isTTY ?? false,
    write: (text: string) => {
      written.out += text;
    },
  };
  const stderr = {
    isTTY: options.isTTY ?? false,
    write: (text: string) => {
      written.err += text;
    },
  };
  return { out: new Output(stdout, stderr, options.env ?? {}), written };
}

describe('output', () => {
  it('puts results on stdout', () => {
    const { out, written } = setUp();
    out.line('a', 'b');
    out.json({ c: [1] });
    expect(written).toStrictEqual({ out: 'a\nb\n{\n  "c": [\n    1\n  ]\n}\n', err: '' });
  });

  it('puts errors, warnings and hints on stderr', () => {
    const { out, written } = setUp();
    out.error(new AipassError('POOL_EXHAUSTED', 'no key is free', { hint: 'wait', retryAfterMs: 1200 }));
    out.warn('the file is open to others', 'chmod 600 f');
    expect(written.out).toBe('');
    expect(written.err).toBe(
      [
        'aipassd: no key is free [POOL_EXHAUSTED]',
        '  → wait',
        '  → try again in 2 s',
        'warning: the file is open to others',
        '  → chmod 600 f',
        '',
      ].join('\n'),
    );
  });

  it('keeps the text of an error from controlling the terminal', () => {
    const { out, written } = setUp({ isTTY: true });
    out.error(new AipassError('INTERNAL', 'a\u001b[2Jb\nc', { hint: 'd\u0007e' }));
    expect(written.err).toBe('aipassd: a [2Jb c [INTERNAL]\n  → d e\n');
  });

  it("prints a model's text as it is into a file, and without control characters on a terminal", () => {
    const text = 'a\tb\n\u001b[31mred\u001b[0m\r\u0007\u009b2J';
    const piped = setUp();
    piped.out.text(text);
    expect(piped.written.out).toBe(text);
    const terminal = setUp({ isTTY: true });
    terminal.out.text(text);
    expect(terminal.written.out).toBe('a\tb\n[31mred[0m2J');
  });

  it('aligns columns, and cuts what is too wide', () => {
    const { out, written } = setUp();
    out.table(
      [
        ['Model', 'Context', 'Price'],
        ['a/model', '8k', 'free'],
        ['x'.repeat(80), '128k', ''],
      ],
      { indent: 2 },
    );
    const lines = written.out.split('\n');
    expect(lines[0]).toBe(`  Model${' '.repeat(57)}Context  Price`);
    expect(lines[1]).toBe(`  a/model${' '.repeat(55)}8k       free`);
    expect(lines[2]).toBe(`  ${'x'.repeat(59)}…  128k`);
  });

  it('aligns wide characters by the columns that they take', () => {
    const { out, written } = setUp();
    out.table([
      ['名前', '1'],
      ['ascii', '2'],
      ['e\u0301a👩‍👩‍👧', '3'],
    ]);
    expect(written.out).toBe('名前   1\nascii  2\ne\u0301a👩‍👩‍👧   3\n');
  });

  it('cuts and wraps what does not fit the width of the terminal', () => {
    const { out, written } = setUp({ env: { COLUMNS: '40' } });
    out.table([['n'.repeat(30), 'one two three four five six seven']], { wrapLast: true });
    out.paragraph('a warning that is longer than the terminal is wide', 2);
    for (const line of written.out.split('\n')) expect(line.length).toBeLessThanOrEqual(40);
    expect(written.out.replaceAll(/\s+/g, ' ')).toBe(
      `${'n'.repeat(17)}… one two three four five six seven a warning that is longer than the terminal is wide `,
    );
  });

  it('prints rows whose cells would be cut as paragraphs, where that is asked for', () => {
    const rows = [
      ['LOCAL_API_KEY_2', 'lk-abc****wxyz', 'quarantined', 'one two three four five six seven eight'],
      ['LOCAL_API_KEY_3', 'lk-abc****wxyz', 'ready', ''],
    ];
    for (const [columns, wrapLast] of [
      ['60', true],
      ['40', true],
      ['40', false],
    ] as const) {
      const { out, written } = setUp({ env: { COLUMNS: columns } });
      out.table(rows, { indent: 2, wrapLast, stack: true });
      for (const word of rows.flat().flatMap((cell) => cell.split(' '))) expect(written.out).toContain(word);
      for (const line of written.out.split('\n')) {
        expect(line.length).toBeLessThanOrEqual(Number(columns));
        expect(line).toBe(line.trimEnd());
      }
    }
    const wide = setUp({ env: { COLUMNS: '120' } });
    wide.out.table(rows, { indent: 2, wrapLast: true, stack: true });
    expect(wide.written.out.split('\n')).toHaveLength(3);
  });

  it('puts a word that is longer than the line behind its mark, and wraps the hint below it', () => {
    const { out, written } = setUp({ env: { COLUMNS: '50' } });
    out.todo(
      'warning  unit         ',
      `${'/long'.repeat(8)}/path is not there`,
      'do this and that and these and those too',
    );
    const lines = written.out.split('\n');
    expect(lines[0]).toBe(`warning  unit         ${'/long'.repeat(8)}/path`);
    for (const line of lines.slice(1)) expect(line.length).toBeLessThanOrEqual(50);
  });

  it.each([
    'run: aipassd add openrouter, or another provider; or put OPENROUTER_API_KEY=… into the file',
    'see: aipassd list-providers, or describe it under "providers" in the configuration',
    'aipassd list-providers --all --of-every-kind (with what each of them needs)',
  ])('wraps a hint that begins with a command and goes on: %s', (hint) => {
    const { out, written } = setUp({ env: { COLUMNS: '50' } });
    out.todo('1. ', 'a problem', hint);
    for (const line of written.out.split('\n')) expect(line.length).toBeLessThanOrEqual(50);
  });

  it.each([
    'run: aipassd reauth google.work --scopes drive.file,calendar.readonly,gmail.send',
    "chmod 600 '/home/a person/secrets, and more; (all of them)/google_creds.json'",
    `sudo chown -R root /usr/lib/node_modules/aipassd && sudo chmod -R go-w /usr/lib/node_modules`,
  ])('leaves a command to copy on one line: %s', (hint) => {
    const { out, written } = setUp({ env: { COLUMNS: '50' } });
    out.todo('1. ', 'a problem', hint);
    expect(written.out).toContain(hint);
  });

  it('does not wrap on a terminal that has no size', () => {
    const written = { out: '' };
    const stdout = { isTTY: true, columns: 0, write: (text: string) => void (written.out += text) };
    new Output(stdout, stdout, {}).paragraph('a warning in one line');
    expect(written.out).toBe('a warning in one line\n');
  });

  it('prints a failure as a document too, unless a result was begun', () => {
    const failure = new AipassError('NOT_FOUND', 'no key', { hint: 'add one' });
    const first = setUp();
    first.out.error(failure, true);
    expect(JSON.parse(first.written.out)).toEqual({ error: { code: 'NOT_FOUND', message: 'no key', hint: 'add one' } });
    expect(first.written.err).toContain('no key [NOT_FOUND]');
    const second = setUp();
    second.out.text('{"line":1}\n');
    second.out.error(failure, true);
    expect(second.written.out).toBe('{"line":1}\n');
  });

  it('shows moments in local time', () => {
    const { out, written } = setUp();
    out.warn('cools down until 2026-11-28T02:29:34.767Z (a rate limit)');
    const at = new Date('2026-11-28T02:29:34.767Z');
    const day = `${at.getFullYear()}-${at.getMonth() + 1}-${at.getDate()}`;
    expect(written.err).toBe(`warning: cools down until ${day} ${at.toTimeString().slice(0, 8)} (a rate limit)\n`);
  });

  it('keeps a cell on its line', () => {
    const { out, written } = setUp({ isTTY: true });
    out.table([['a\nb\u001b[2J', 'c']]);
    expect(written.out).toBe('a b [2J  c\n');
  });

  it('prints no rows as nothing', () => {
    const { out, written } = setUp();
    out.table([]);
    expect(written.out).toBe('');
  });

  it('colours on a terminal', () => {
    const { out } = setUp({ isTTY: true });
    expect(out.style('green', 'ok')).toBe('\u001b[32mok\u001b[39m');
    expect(out.isTerminal).toBe(true);
  });

  it.each([
    ['into a pipe', {}],
    ['where NO_COLOR is set', { isTTY: true, env: { NO_COLOR: '1' } }],
    ['on a dumb terminal', { isTTY: true, env: { TERM: 'dumb' } }],
  ])('does not colour %s', (_where, options) => {
    expect(setUp(options).out.style('green', 'ok')).toBe('ok');
  });
});
