import { expect, test } from 'vitest';
import { AnswerWatcher } from '../../../src/completions/answer-watcher.ts';

type Choice = Readonly<Record<string, unknown>>;

/** Gives the choices of one chunk after the other to a watcher; returns whether all have ended. */
function isFinishedAfter(...chunks: readonly (readonly Choice[])[]): boolean {
  const watcher = new AnswerWatcher({ dialect: 'openai', kind: 'chat' });
  for (const choices of chunks) watcher.push(Buffer.from(`data: ${JSON.stringify({ id: 'c', choices })}\n\n`));
  return watcher.isFinished;
}

const says = (index: unknown, content = 'x'): Choice => ({ index, delta: { content } });
const ends = (index: unknown, reason: unknown = 'stop'): Choice => ({ index, delta: {}, finish_reason: reason });

test.each([
  ['its only choice has ended', [[says(0)], [ends(0)]], true],
  ['its only choice goes on', [[says(0)], [says(0)]], false],
  ['an end is an empty text', [[says(0)], [ends(0, '')]], false],
  ['one of two choices goes on', [[says(0)], [says(1)], [ends(0)]], false],
  ['two choices have ended', [[says(0)], [says(1)], [ends(1)], [ends(0)]], true],
  ['a choice begins after another one ended', [[says(0)], [ends(0)], [says(1)]], false],
  ['an empty choice comes behind the end', [[says(0)], [ends(0)], [{ index: -1, delta: {} }]], true],
  ['an index is null', [[says(null)], [ends(0)]], true],
  ['an index is a text', [[says('0')], [ends(0)]], true],
  [
    'no choice has an index',
    [[{ delta: { content: 'a' } }, { delta: { content: 'b' } }], [{ finish_reason: 'stop' }]],
    false,
  ],
  ['a choice of text has ended', [[{ text: 'a', index: 0 }], [{ text: '', index: 0, finish_reason: 'length' }]], true],
] as const)('a chat is finished when every choice has ended: %s', (_what, chunks, expected) => {
  expect(isFinishedAfter(...chunks)).toBe(expected);
});
