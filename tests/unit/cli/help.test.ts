import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { printGeneralHelp, printVerbHelp, usageLine } from '../../../src/cli/words.ts';
import { textWidth } from '../../../src/cli/format.ts';
import { Output } from '../../../src/cli/output.ts';
import { loadVerb, loadVerbs, VERB_NAMES } from '../../../src/cli/verbs/index.ts';

const VERBS = await loadVerbs();

function printed(print: (out: Output) => void, env: Record<string, string> = {}): string {
  let text = '';
  const stream = {
    write: (piece: string) => {
      text += piece;
    },
  };
  const nowhere = {
    write: () => {
      throw new Error('help is no error');
    },
  };
  print(new Output(stream, nowhere, env));
  return text;
}

describe('help', () => {
  it('lists every verb with what it does, and the exit codes', () => {
    const text = printed((out) => printGeneralHelp(VERBS, out));
    for (const verb of VERBS.filter((one) => one.isHidden !== true)) {
      expect(text).toContain(`\n  ${verb.name}`);
      expect(text).toContain(verb.summary);
    }
    expect(text).toMatch(/0 .*, 1 .*, 2 .*, 3 /);
  });

  it.each(VERBS.map((verb) => [verb.name, verb] as const))('explains %s with all of its options', (name, verb) => {
    const text = printed((out) => printVerbHelp(verb, out));
    expect(text).toContain(`usage: aipassd ${name}`);
    expect(text).toContain(verb.summary);
    for (const [parameter, { kind, help }] of Object.entries(verb.parameters)) {
      expect(text).toContain(kind === 'flag' || kind === 'value' ? `--${parameter}` : parameter);
      expect(text).toContain(help);
    }
  });

  it('fits a terminal of 60 columns', () => {
    for (const verb of VERBS) {
      const lines = printed((out) => printVerbHelp(verb, out), { COLUMNS: '60' }).split('\n');
      // A path has no space at which it could be wrapped.
      for (const line of lines.filter((one) => !one.includes('/'))) {
        expect(textWidth(line), line).toBeLessThanOrEqual(60);
      }
    }
    for (const line of printed((out) => printGeneralHelp(VERBS, out), { COLUMNS: '60' }).split('\n')) {
      expect(textWidth(line), line).toBeLessThanOrEqual(60);
    }
  });

  it('has no line that ends in a space', () => {
    for (const verb of VERBS) expect(printed((out) => printVerbHelp(verb, out))).not.toMatch(/ $/m);
    expect(printed((out) => printGeneralHelp(VERBS, out))).not.toMatch(/ $/m);
  });
});

describe('the tables of docs/commands.md', () => {
  const rows = readFileSync(new URL('../../../docs/commands.md', import.meta.url), 'utf8')
    .split('\n')
    .flatMap((line) => /^\| `aipassd ([a-z-]+)(.*?)` *\|/.exec(line) ?? []);
  const table = Array.from({ length: rows.length / 3 }, (_, row) => ({
    name: rows[row * 3 + 1] ?? '',
    words: rows[row * 3 + 2] ?? '',
  }));

  it('has every verb, and none that is not there', () => {
    const first = VERB_NAMES.map((name) => name.split(' ')[0] ?? '');
    expect([...new Set(table.map(({ name }) => name))].toSorted()).toStrictEqual([...new Set(first)].toSorted());
  });

  it('names no option that its verb does not take', () => {
    for (const { name, words } of table) {
      const verbs = VERBS.filter((one) => one.name === name || one.name.startsWith(`${name} `));
      const options = verbs.flatMap((verb) => Object.keys(verb.parameters));
      for (const [, option = ''] of words.matchAll(/--([a-z-]+)/g)) expect(options, `of ${name}`).toContain(option);
    }
  });
});

describe('the verbs', () => {
  it('are found by the names that they have themselves', async () => {
    expect(VERBS.map((verb) => verb.name)).toStrictEqual(VERB_NAMES);
    for (const verb of VERBS) expect(await loadVerb(verb.name)).toBe(verb);
  });

  it('are not found by the names that every object has', async () => {
    for (const name of ['constructor', '__proto__', 'toString', '', undefined]) {
      expect(await loadVerb(name)).toBeUndefined();
    }
  });

  it('have a usage line that is made from their tables', () => {
    expect(VERBS.map(usageLine)).toContain('aipassd get-key [provider] [--reveal] [--json]');
    expect(VERBS.map(usageLine)).toContain('aipassd pool explain <provider> [--model M] [--organization O] [--json]');
  });

  it('that read take --json', () => {
    const without = VERBS.filter((verb) => !('json' in verb.parameters)).map((verb) => verb.name);
    expect(without).toStrictEqual([
      'run',
      'init',
      'exec',
      'git-credential',
      'install',
      'uninstall',
      'completion',
      'completion names',
    ]);
  });
});
