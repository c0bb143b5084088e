import { describe, expect, it } from 'vitest';
import { formatCount, formatRelative } from '../../../src/cli/format.ts';
import { flag, restWords } from '../../../src/cli/verb.ts';
import { parseWords } from '../../../src/cli/words.ts';
import { defineVerb, type Verb } from '../../../src/cli/verb.ts';
import { loadVerb } from '../../../src/cli/verbs/index.ts';

async function verb(name: string): Promise<Verb> {
  const found = await loadVerb(name);
  if (!found) throw new Error(`there is no verb ${name}`);
  return found;
}

const STATS = await verb('stats');

describe('the words of a verb', () => {
  it.each([
    ['--snice', 'did you mean "--since"? See: aipassd stats --help'],
    ['--nothing-like-it', 'see: aipassd stats --help'],
    ['-x', 'see: aipassd stats --help'],
  ])('with an unknown option %s are rejected with what is near', async (option, hint) => {
    await expect(parseWords(STATS, [option])).rejects.toMatchObject({
      code: 'BAD_REQUEST',
      message: `unknown option: ${option}`,
      hint,
    });
  });

  it('that are given as options are told from options that nobody has', async () => {
    const models = await verb('models');
    const usage = 'write it without "--provider": aipassd models';
    await expect(parseWords(models, ['--provider', 'x'])).rejects.toMatchObject({
      hint: expect.stringContaining(usage),
    });
    const status = await verb('status');
    await expect(parseWords(status, ['--foo'])).rejects.toMatchObject({ hint: 'see: aipassd status --help' });
  });

  it('give a value for each entry of the table', async () => {
    expect(await parseWords(STATS, ['--by', 'model', '--limit=5', '--json'])).toEqual({
      by: 'model',
      limit: 5,
      json: true,
      csv: false,
    });
    expect(await parseWords(await verb('get-key'), ['openrouter'])).toEqual({
      provider: 'openrouter',
      reveal: false,
      json: false,
    });
  });

  it.each([
    [['--since'], '--since: the value is missing'],
    [['--since', '--json'], '--since: the value is missing'],
    [['--json=yes'], '--json: takes no value (got "yes")'],
    [['--by', 'weather'], '--by: unknown value (got "weather")'],
    [['--limit', '0'], '--limit: not a whole number from 1 to 750 (got "0")'],
    [['--since', '2026-02-30'], '--since: invalid time (got "2026-02-30")'],
    [['--csv', '--json'], '--csv and --json exclude each other'],
    [['too'], 'too many words after "stats": too'],
  ])('%j are rejected with the value and what to write', async (words, message) => {
    await expect(parseWords(STATS, words)).rejects.toMatchObject({ message, hint: expect.stringMatching(/./) });
  });

  it.each([
    ['token', ['google', '--min-valid', '604801'], '--min-valid: not a whole number from 0 to 604800 (got "604801")'],
    ['reauth', ['google', '--timeout', '0'], '--timeout: not a whole number from 1 to 3600 (got "0")'],
  ])('of %s have the ranges of the daemon', async (name, words, message) => {
    await expect(parseWords(await verb(name), words)).rejects.toMatchObject({ message });
  });

  it('must have those that the verb needs', async () => {
    await expect(parseWords(await verb('pool explain'), [])).rejects.toMatchObject({
      message: expect.stringContaining('<provider>'),
      hint: expect.stringMatching(/^usage: aipassd pool explain <provider> .*aipassd list-providers$/),
    });
  });

  it('can end with any number of words, which may look like options after --', async () => {
    const parameters = { quiet: flag('print less'), program: restWords('the program', true) };
    const exec = defineVerb({ name: 'exec', summary: '', parameters, run: () => Promise.resolve(0) });
    expect(await parseWords(exec, ['--quiet', '--', 'ls', '-l'])).toEqual({ quiet: true, program: ['ls', '-l'] });
    await expect(parseWords(exec, [])).rejects.toMatchObject({ hint: 'usage: aipassd exec [--quiet] -- <program …>' });
  });
});

describe('a time', () => {
  const now = Date.parse('2026-11-28T12:00:00Z');

  it('is printed by how far it is', () => {
    expect([formatRelative(now + 120_000, now), formatRelative(now - 3_725_000, now)]).toEqual([
      'in 2 min',
      '1 h 2 min ago',
    ]);
  });
});

describe('a counted thing', () => {
  it('is singular where it is one', () => {
    expect([formatCount(0, 'day'), formatCount(1, 'day'), formatCount(2, 'entry', 'entries')]).toEqual([
      '0 days',
      '1 day',
      '2 entries',
    ]);
  });
});
