import { describe, expect, it } from 'vitest';
import { removeVariable, setVariable } from '../../../src/credentials/env-edit.ts';

/** Returns the edited text; fails the test where the edit is refused. */
function set(text: string, name: string, value: string): string {
  const edit = setVariable(text, name, value);
  if (edit.kind === 'refused') throw new Error(`refused: ${edit.problem}`);
  return edit.text;
}

describe('setting a variable', () => {
  it('changes the value and keeps every other byte', () => {
    const before = '# mine\r\n\r\nexport A_API_KEY = "old"   # from the console\r\nB_API_KEY=b\r\n';
    expect(set(before, 'A_API_KEY', 'new')).toBe(
      '# mine\r\n\r\nexport A_API_KEY = "new"   # from the console\r\nB_API_KEY=b\r\n',
    );
  });

  it.each([
    ['an empty text', '', 'A=v\n'],
    ['a text without a final line end', 'B=1', 'B=1\nA=v\n'],
    ['a text with CRLF', 'B=1\r\n', 'B=1\r\nA=v\r\n'],
    ['old Mac line ends', 'B=1\r', 'B=1\rA=v\r'],
    ['only a byte order mark', '\uFEFF', '\uFEFFA=v\n'],
  ])('appends to %s', (_, before, after) => {
    expect(set(before, 'A', 'v')).toBe(after);
  });

  it.each([
    ['single quotes', "A='o#ld' # note\n", "A='v' # note\n"],
    ['a comment right after the sign', 'A= # note\n', 'A= v # note\n'],
    ['a value that a comment cuts', 'A=ol#d\n', 'A=v #d\n'],
  ])('keeps %s, where other readers of the file see the same value', (_, before, after) => {
    expect(set(before, 'A', 'v')).toBe(after);
  });

  it('replaces a placeholder in place', () => {
    expect(set('A_API_KEY=your-key-here\nB=1\n', 'A_API_KEY', 'sk-1')).toBe('A_API_KEY=sk-1\nB=1\n');
  });

  it('gives an empty assignment its value', () => {
    expect(set('A=\nB=1\n', 'A', 'v')).toBe('A=v\nB=1\n');
  });

  it('changes the last of several assignments, because that one counts', () => {
    expect(set('A=1\nA=2\n', 'A', '3')).toBe('A=1\nA=3\n');
  });

  it('replaces a value over several lines as a whole', () => {
    expect(set('A="one\ntwo"\nB=1\n', 'A', 'v')).toBe('A=v\nB=1\n');
  });

  it.each([
    ['a#b', "A='a#b'\n"],
    ["it's", 'A="it\'s"\n'],
    ['$HOME', "A='$HOME'\n"],
    ['a"b\'c', 'A=`a"b\'c`\n'],
  ])('quotes %s', (value, after) => {
    expect(set('', 'A', value)).toBe(after);
  });

  it('refuses a value that holds every kind of quote', () => {
    expect(setVariable('', 'A', `'"\``).kind).toBe('refused');
  });

  it('refuses to append where an unclosed quote would swallow the line, and names that line', () => {
    expect(setVariable('B=1\nC="open\n', 'C', 'v')).toMatchObject({ kind: 'refused', line: 2 });
  });

  it('keeps the byte order mark when the first line changes', () => {
    expect(set('\uFEFFA=1\n', 'A', '2')).toBe('\uFEFFA=2\n');
  });

  it('does not take a name for the beginning of a longer one', () => {
    expect(set('A_2=x\n', 'A', 'v')).toBe('A_2=x\nA=v\n');
  });
});

describe('removing a variable', () => {
  it('removes its lines and nothing else', () => {
    const edit = removeVariable('# a\nA=1\nB="x\ny" # b\nA=2\n', 'A');
    expect(edit).toEqual({ kind: 'edited', text: '# a\nB="x\ny" # b\n' });
  });

  it('changes nothing where the variable is absent', () => {
    expect(removeVariable('B=1\r\n', 'A')).toEqual({ kind: 'edited', text: 'B=1\r\n' });
  });

  it('keeps the byte order mark', () => {
    expect(removeVariable('\uFEFFA=1\nB=2\n', 'A')).toEqual({ kind: 'edited', text: '\uFEFFB=2\n' });
  });
});
