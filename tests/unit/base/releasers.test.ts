import { describe, expect, it } from 'vitest';
import { Releasers } from '../../../src/base/releasers.ts';

describe('Releasers', () => {
  it('run last registered first, one after the other', async () => {
    const order: string[] = [];
    const releasers = new Releasers();
    releasers.add('a', () => {
      order.push('a');
    });
    releasers.add('b', async () => {
      order.push('b begins');
      await new Promise(setImmediate);
      order.push('b ends');
    });
    await releasers.release();
    expect(order).toStrictEqual(['b begins', 'b ends', 'a']);
  });

  it('run the others when one fails, and then tell of every failure', async () => {
    const order: string[] = [];
    const releasers = new Releasers();
    releasers.add('the file', () => {
      order.push('file');
      throw new Error('disk gone');
    });
    releasers.add('the log', () => {
      order.push('log');
    });
    releasers.add('the socket', () => Promise.reject(new Error('busy')));
    const failure = await releasers.release().catch((error: unknown) => error);
    expect(order).toStrictEqual(['log', 'file']);
    expect(failure).toBeInstanceOf(AggregateError);
    expect(String(failure)).toContain('closing the socket failed: Error: busy');
    expect(String(failure)).toContain('closing the file failed: Error: disk gone');
  });

  it('run each closer once, however often they are asked', async () => {
    let runs = 0;
    const releasers = new Releasers();
    releasers.add('a', () => {
      runs += 1;
    });
    await Promise.all([releasers.release(), releasers.release()]);
    await releasers.release();
    expect(runs).toBe(1);
  });

  it('refuse a closer that would never run', async () => {
    const releasers = new Releasers();
    await releasers.release();
    expect(() => releasers.add('a late one', () => {})).toThrow('a late one');
  });
});
