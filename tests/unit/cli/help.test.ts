import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { printGeneralHelp, printVerbHelp } from '../../../src/cli/help.ts';
import { Output } from '../../../src/cli/output.ts';
import { loadVerb, loadVerbs, VERB_NAMES } from '../../../src/cli/verbs/index.ts';

const VERBS = await loadVerbs();

function printed(print: (out: Output) => void): string {
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
  print(new Output(stream, nowhere, {}));
  return text;
}

describe('help', () => {
  it('lists every verb with what it does, and the exit codes', () => {
    const text = printed((out) => printGeneralHelp(VERBS, out));
    for (const verb of VERBS) {
      expect(text).toContain(`\n  ${verb.name}`);
      expect(text).toContain(verb.summary);
    }
    expect(text).toContain('exit codes: 0 done, 1 not understood, 2 refused or failed, 3 the daemon is not running');
  });

  it.each(VERBS.map((verb) => [verb.name, verb] as const))('explains %s with all of its options', (name, verb) => {
    const text = printed((out) => printVerbHelp(verb, out));
    expect(text).toContain(`usage: aipassd ${name}`);
    expect(text).toContain(verb.summary);
    for (const option of Object.keys(verb.options)) expect(text).toContain(`--${option}`);
  });

  it('has no line that ends in a space', () => {
    for (const verb of VERBS) expect(printed((out) => printVerbHelp(verb, out))).not.toMatch(/ $/m);
    expect(printed((out) => printGeneralHelp(VERBS, out))).not.toMatch(/ $/m);
  });
});

describe('the table of commands in the README', () => {
  const rows = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8')
    .split('\n')
    .flatMap((line) => /^\| `aipassd ([a-z-]+)(.*?)` *\|/.exec(line) ?? []);
  const table = Array.from({ length: rows.length / 3 }, (_, row) => ({
    name: rows[row * 3 + 1] ?? '',
    words: rows[row * 3 + 2] ?? '',
  }));

  it('has every verb, and none that is not there', () => {
    expect([...new Set(table.map(({ name }) => name))].toSorted()).toStrictEqual(VERB_NAMES.toSorted());
  });

  it('names no option that its verb does not take', () => {
    for (const { name, words } of table) {
      const verb = VERBS.find((one) => one.name === name);
      const options = Object.keys(verb?.options ?? {});
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

  it('that read take --json', () => {
    const without = VERBS.filter((verb) => !('json' in verb.options)).map((verb) => verb.name);
    expect(without).toStrictEqual(['run', 'init', 'install', 'uninstall', 'completion']);
  });
});
