import { expect, it } from 'vitest';
import { PriceBook } from '../../../src/usage/generations.ts';

const MINUTE = 60_000;
const clockAt = { ms: 0 };
const clock = { now: () => clockAt.ms, monotonic: () => clockAt.ms, after: () => () => {} };
const { signal } = new AbortController();

it('a price list is asked for once an hour, and a minute after it could not be had', async () => {
  let asked = 0;
  let isAway = true;
  const book = new PriceBook(() => {
    asked += 1;
    if (isAway) return Promise.reject(new Error('away'));
    return Promise.resolve([{ id: 'm', promptPrice: '0.000001', completionPrice: '0.000002' }]);
  }, clock);
  const ask = () => book.prices('acme', 'm', signal);

  expect([await ask(), await ask(), asked]).toEqual([null, null, 1]);
  isAway = false;
  clockAt.ms += MINUTE + 1;
  const known = { prompt: '0.000001', completion: '0.000002' };
  expect([await ask(), await ask(), asked]).toEqual([known, known, 2]);
  clockAt.ms += 59 * MINUTE;
  expect([await ask(), asked]).toEqual([known, 2]);
  clockAt.ms += 2 * MINUTE;
  expect([await ask(), asked]).toEqual([known, 3]);
  expect(await book.prices('acme', 'another', signal)).toBeNull();
});
