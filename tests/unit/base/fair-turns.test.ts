import { setImmediate as nextPass } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { FairTurns } from '../../../src/base/fair-turns.ts';

it('work without an end leaves a turn to others, and the event loop to everybody', async () => {
  const done = { endless: 0, small: 0 };
  let isOver = false;
  const turns = new FairTurns<keyof typeof done>((name) => {
    done[name] += 1;
    return name === 'endless' && !isOver;
  });
  turns.run('endless');
  turns.run('small');
  await nextPass();
  await nextPass();
  const passed = done.endless;
  expect(passed).toBeGreaterThan(1);
  expect(done.small).toBe(1);
  isOver = true;
  await nextPass();
  await nextPass();
  const ended = done.endless;
  await nextPass();
  expect(done.endless).toBe(ended);
});

it('what is small is done at once, and in full', () => {
  let left = 3;
  const turns = new FairTurns<string>(() => (left -= 1) > 0);
  turns.run('small');
  expect(left).toBe(0);
});

it('what happens between two turns is finished before the next one', async () => {
  const log: string[] = [];
  const { promise: isOver, resolve: end } = Promise.withResolvers<void>();
  // As a request that is read while the turns of a flood go on, and answered at the end of that
  // pass through the loop.
  const read = (): void => {
    log.push('read');
    setImmediate(() => {
      log.push('answered');
      end();
    });
  };
  const turns = new FairTurns<object>(() => {
    // It is due when this turn ends, and so is read right behind it.
    if (log.length === 2) setTimeout(read, 1);
    const begunAt = performance.now();
    while (performance.now() - begunAt < 3);
    log.push('turn');
    return !log.includes('answered');
  });
  turns.add({});
  await isOver;
  expect(log.filter((entry) => entry === 'turn').length).toBeGreaterThan(1);
  expect(log[log.indexOf('read') + 1]).toBe('answered');
});
