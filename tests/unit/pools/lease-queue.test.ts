import { setImmediate as nextPass } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { AipassError } from '../../../src/base/errors.ts';
import type { KeyLease } from '../../../src/pools/lease.ts';
import { LeaseQueue } from '../../../src/pools/lease-queue.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const LEASE: KeyLease = { provider: 'p', keyId: 'K', value: null, baseUrl: null, settle: () => {} };

/** A queue whose requests get a lease only for the models that are free, and what was tried. */
function countedQueue(): { queue: LeaseQueue; free: Set<string>; tried: string[]; ask: typeof ask } {
  const queue = new LeaseQueue(new ManualClock());
  const free = new Set<string>();
  const tried: string[] = [];
  function ask(model: string, caller = 'u'): Promise<KeyLease> {
    const attempt = (): KeyLease => {
      tried.push(model);
      if (free.has(model)) return LEASE;
      throw new AipassError('POOL_EXHAUSTED', 'no key is free', { retryAfterMs: 1000 });
    };
    return queue.wait({ model, caller, program: 'x', attempt }, 60_000);
  }
  return { queue, free, tried, ask };
}

it('a request that begins to wait costs no look at thousands that wait for other models', async () => {
  const { queue, tried, ask } = countedQueue();
  const waiting = Array.from({ length: 3000 }, (_, at) => ask(`m${at}`).catch((error: unknown) => error));
  expect(tried).toHaveLength(3000);
  expect(queue.size).toBe(3000);
  queue.stop();
  expect(await Promise.all(waiting)).toEqual(waiting.map(() => expect.objectContaining({ code: 'CANCELLED' })));
});

it('what came free finds who wants it among thousands, each of which is tried once', async () => {
  const { queue, free, tried, ask } = countedQueue();
  for (let at = 0; at < 3000; at += 1) void ask(`m${at}`).catch(() => {});
  const before = tried.length;
  free.add('m2999');
  const last = ask('m2999');
  queue.serve();
  await expect(last).resolves.toBe(LEASE);
  for (let pass = 0; pass < 100; pass += 1) await nextPass();
  expect(tried.length - before).toBeLessThanOrEqual(3002);
  expect(queue.size).toBe(2999);
  queue.stop();
});

it('another user gets a turn before the thousand requests of the first are looked at', async () => {
  const { queue, free, tried, ask } = countedQueue();
  for (let at = 0; at < 1000; at += 1) void ask(`m${at}`).catch(() => {});
  const other = ask('free', 'other');
  free.add('free');
  tried.length = 0;
  queue.serve();
  await expect(other).resolves.toBe(LEASE);
  expect(tried.indexOf('free')).toBeLessThanOrEqual(1);
  queue.stop();
});

it('a queue of a pool without a free key tries nobody', () => {
  let mayServe = false;
  let attempts = 0;
  const queue = new LeaseQueue(new ManualClock(), () => mayServe);
  const attempt = (): KeyLease => {
    attempts += 1;
    throw new AipassError('POOL_EXHAUSTED', 'no key is free');
  };
  for (let at = 0; at < 10; at += 1) void queue.wait({ model: `m${at}`, attempt }, 60_000).catch(() => {});
  const begun = attempts;
  queue.serve();
  expect(attempts).toBe(begun);
  mayServe = true;
  queue.serve();
  expect(attempts).toBe(begun + 10);
  queue.stop();
});
