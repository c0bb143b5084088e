import { describe, expect, it } from 'vitest';
import { costFromPrices, microDollars } from '../../../src/usage/micro-dollars.ts';

describe('money', () => {
  it('becomes whole micro-dollars', () => {
    expect(microDollars(0.0001234)).toBe(123);
    expect(microDollars('0.1')).toBe(100_000);
    expect(microDollars('1e-6')).toBe(1);
    expect(microDollars(0)).toBe(0);
  });

  it('is unknown where it is no believable amount', () => {
    for (const amount of [
      -1,
      '-1',
      Number.NaN,
      Number.POSITIVE_INFINITY,
      1e9,
      '',
      ' ',
      '0x10',
      'free',
      null,
      undefined,
      {},
    ]) {
      expect(microDollars(amount)).toBeNull();
    }
  });

  it('is worked out from a price list only where every part of it is known', () => {
    const prices = { prompt: '0.000001', completion: '0.000002' };
    expect(costFromPrices(1000, 500, prices)).toBe(2000);
    expect(costFromPrices(null, 500, prices)).toBeNull();
    expect(costFromPrices(1000, 500, { prompt: '0.000001' })).toBeNull();
    expect(costFromPrices(1000, 500, { prompt: '-1', completion: '-1' })).toBeNull();
  });
});
