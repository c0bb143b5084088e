import { describe, expect, it } from 'vitest';
import { closeAll, defer } from '../../../src/base/dispose.ts';

describe('closers on a stack', () => {
  it('run in reverse order, each once, and each waits for the one before', async () => {
    const calls: string[] = [];
    const stack = new AsyncDisposableStack();
    defer(stack, 'first', () => void calls.push('first'));
    defer(stack, 'second', async () => {
      await Promise.resolve();
      calls.push('second');
    });
    await closeAll(stack);
    await closeAll(stack);
    expect(calls).toEqual(['second', 'first']);
  });

  it('that fail are all named, in order, and keep no other from running', async () => {
    const calls: string[] = [];
    const stack = new AsyncDisposableStack();
    defer(stack, 'the lock', () => void calls.push('lock'));
    defer(stack, 'the database', () => Promise.reject(new Error('disk full')));
    defer(stack, 'the log', () => void calls.push('log'));
    defer(stack, 'the socket', () => {
      throw new Error('in use');
    });
    const failure: unknown = await closeAll(stack).catch((error: unknown) => error);
    expect(calls).toEqual(['log', 'lock']);
    expect(failure).toBeInstanceOf(AggregateError);
    expect(failure).toMatchObject({
      message: 'closing the socket failed: in use; closing the database failed: disk full',
      errors: [{ cause: { message: 'in use' } }, { cause: { message: 'disk full' } }],
    });
  });

  it('cannot be added once all have run', async () => {
    const stack = new AsyncDisposableStack();
    await closeAll(stack);
    expect(() => defer(stack, 'late', () => {})).toThrow(ReferenceError);
  });
});
