import { expect, it } from 'vitest';
import { GroupCommit } from '../../../src/base/group-commit.ts';

/** What was recorded, what was put on disk, and the group commit between the two. */
function recorder({ requests = 3 } = {}) {
  const recorded: number[] = [];
  const writes: number[][] = [];
  const commit = new GroupCommit(
    () => {
      const lines = recorded.splice(0);
      if (lines.includes(0)) throw new Error('the disk is gone');
      if (lines.length > 0) writes.push(lines);
    },
    () => requests <= 1,
  );
  return { recorded, writes, commit };
}

it('replies of one turn share one write, and leave after it in their order', async () => {
  const { recorded, writes, commit } = recorder();
  const left: number[] = [];
  const replies = [1, 2, 3].map(async (reply) => {
    recorded.push(reply);
    await commit.wait();
    expect(writes).toEqual([[1, 2, 3]]);
    left.push(reply);
  });
  expect(writes).toEqual([]);
  await Promise.all(replies);
  expect(left).toEqual([1, 2, 3]);
});

it('a reply that is alone does not wait for the end of the turn', async () => {
  const { recorded, writes, commit } = recorder({ requests: 1 });
  const events: string[] = [];
  setImmediate(() => events.push('the end of the turn'));
  recorded.push(1);
  await commit.wait();
  events.push('the reply');
  expect(writes).toEqual([[1]]);
  await new Promise(setImmediate);
  expect(events).toEqual(['the reply', 'the end of the turn']);
});

it('a reply that is ready after a write waits for the next one', async () => {
  const { recorded, writes, commit } = recorder();
  recorded.push(1);
  await commit.wait();
  recorded.push(2);
  await commit.wait();
  expect(writes).toEqual([[1], [2]]);
});

it('a reply that cannot wait has everything written at once', async () => {
  const { recorded, writes, commit } = recorder();
  recorded.push(1);
  const waiting = commit.wait();
  recorded.push(2);
  commit.commit();
  expect(writes).toEqual([[1, 2]]);
  await waiting;
  expect(writes).toEqual([[1, 2]]);
});

it('a write that fails fails the replies that shared it, and not the next one', async () => {
  const { recorded, writes, commit } = recorder();
  recorded.push(0);
  const outcomes = await Promise.allSettled([commit.wait(), commit.wait()]);
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  recorded.push(1);
  await commit.wait();
  expect(writes).toEqual([[1]]);
});
