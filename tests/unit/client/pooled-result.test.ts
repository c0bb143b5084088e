import { setImmediate as turn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { PooledResult } from '../../../src/client/pooled-result.ts';

it('an attempt whose result lacks a method leaves no rejection of another one unhandled', async () => {
  const unhandled: unknown[] = [];
  const listener = (reason: unknown): void => void unhandled.push(reason);
  process.on('unhandledRejection', listener);
  try {
    const result = new PooledResult();
    Reflect.get(result.proxy, 'json')();
    Reflect.get(result.proxy, 'missing')();
    const attempt = result.attempt({ json: () => Promise.reject(new Error('no answer')) });
    await expect(attempt).rejects.toThrow('the result of this call has no method "missing"');
    await turn();
    expect(unhandled).toEqual([]);
  } finally {
    process.off('unhandledRejection', listener);
  }
});
