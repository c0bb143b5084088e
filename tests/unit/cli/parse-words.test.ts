import { describe, expect, it } from 'vitest';
import { counted } from '../../../src/cli/counted.ts';
import { parseWords } from '../../../src/cli/parse-words.ts';
import { loadVerb } from '../../../src/cli/verbs/index.ts';

const STATS = await loadVerb('stats');

describe('the words of a verb', () => {
  it.each([
    ['--snice', 'did you mean "--since"? See: aipassd stats --help'],
    ['--nothing-like-it', 'see: aipassd stats --help; a word that begins with "-" goes after "--"'],
    ['-x', 'see: aipassd stats --help; a word that begins with "-" goes after "--"'],
  ])('with an unknown option %s are told what is wrong and what is near', async (option, hint) => {
    await expect(parseWords(STATS, [option])).rejects.toMatchObject({
      code: 'BAD_REQUEST',
      message: `unknown option: ${option}`,
      hint,
    });
  });

  it('give options and positionals', async () => {
    const args = await parseWords(STATS, ['--since', '7d', '--json']);
    expect([args.text('since'), args.flag('json'), args.flag('csv'), args.positionals]).toEqual([
      '7d',
      true,
      false,
      [],
    ]);
    await expect(parseWords(STATS, ['--since'])).rejects.toMatchObject({ hint: 'see: aipassd stats --help' });
    await expect(parseWords(STATS, ['too'])).rejects.toThrow('too many words after "stats": too');
  });
});

describe('a counted thing', () => {
  it('is singular where it is one', () => {
    expect([counted(0, 'day'), counted(1, 'day'), counted(2, 'entry', 'entries')]).toEqual([
      '0 days',
      '1 day',
      '2 entries',
    ]);
  });
});
