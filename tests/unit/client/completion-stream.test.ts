import { describe, expect, it } from 'vitest';
import { AipassError } from '../../../src/base/errors.ts';
import { CompletionStream } from '../../../src/client/completion-stream.ts';
import type { CompletionDelta, CompletionResult } from '../../../src/protocol/completion.ts';

const RESULT: CompletionResult = {
  content: 'abc',
  toolCalls: [],
  id: 'gen-1',
  model: 'm',
  finishReason: 'stop',
  usage: null,
  provider: 'openrouter',
  keyId: 'OPENROUTER_API_KEY',
};

/**
 * Makes a stream whose deltas and end the test decides; cancelling it rejects as the client does.
 */
function setUp() {
  const { promise, resolve, reject } = Promise.withResolvers<CompletionResult>();
  const started: { onDelta?: (delta: CompletionDelta) => void; signal?: AbortSignal } = {};
  const stream = new CompletionStream((onDelta, signal) => {
    Object.assign(started, { onDelta, signal });
    signal.addEventListener('abort', () => reject(new AipassError('CANCELLED', 'the call was cancelled')));
    return promise;
  });
  return {
    stream,
    push: (content: string) => started.onDelta?.({ content }),
    isCancelled: () => started.signal?.aborted,
    resolve: () => resolve(RESULT),
    reject,
  };
}

async function collect(stream: CompletionStream): Promise<(string | undefined)[]> {
  const contents: (string | undefined)[] = [];
  for await (const { content } of stream) contents.push(content);
  return contents;
}

describe('CompletionStream', () => {
  it('yields the deltas that came before the loop and those that come during it', async () => {
    const { stream, push, resolve } = setUp();
    push('a');
    const collected = collect(stream);
    await new Promise(setImmediate);
    push('b');
    push('c');
    await new Promise(setImmediate);
    resolve();
    expect(await collected).toStrictEqual(['a', 'b', 'c']);
    expect(await stream.result).toBe(RESULT);
  });

  it('yields everything even where the end came first', async () => {
    const { stream, push, resolve } = setUp();
    push('a');
    push('b');
    resolve();
    await stream.result;
    expect(await collect(stream)).toStrictEqual(['a', 'b']);
  });

  it('yields what came before a failure, then throws it', async () => {
    const { stream, push, reject } = setUp();
    push('a');
    reject(new AipassError('PROVIDER_UNAVAILABLE', 'the stream broke off'));
    const contents: unknown[] = [];
    const loop = (async () => {
      for await (const { content } of stream) contents.push(content);
    })();
    await expect(loop).rejects.toMatchObject({ code: 'PROVIDER_UNAVAILABLE' });
    await expect(stream.result).rejects.toMatchObject({ code: 'PROVIDER_UNAVAILABLE' });
    expect(contents).toStrictEqual(['a']);
  });

  it('refuses a second loop while a first one reads, which goes on', async () => {
    const { stream, push, resolve } = setUp();
    const first = collect(stream);
    await new Promise(setImmediate);
    await expect(collect(stream)).rejects.toMatchObject({ code: 'BAD_REQUEST', hint: expect.any(String) });
    push('a');
    resolve();
    expect(await first).toStrictEqual(['a']);
  });

  it('is cancelled by leaving the loop early', async () => {
    const { stream, push, isCancelled } = setUp();
    push('a');
    push('b');
    for await (const { content } of stream) if (content === 'a') break;
    expect(isCancelled()).toBe(true);
    await expect(stream.result).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  it('is cancelled by a throw inside the loop', async () => {
    const { stream, push, isCancelled } = setUp();
    push('a');
    const loop = (async () => {
      for await (const { content } of stream) throw new Error(`mine: ${content}`);
    })();
    await expect(loop).rejects.toThrow('mine: a');
    expect(isCancelled()).toBe(true);
  });

  it('is not cancelled by a loop that went to its end', async () => {
    const { stream, resolve, isCancelled } = setUp();
    resolve();
    await collect(stream);
    expect(isCancelled()).toBe(false);
  });

  it('ends a waiting loop when it is cancelled', async () => {
    const { stream } = setUp();
    const collected = collect(stream);
    await new Promise(setImmediate);
    stream.cancel();
    await expect(collected).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  it('lets who only loops ignore the result, and who only awaits the result ignore the loop', async () => {
    const unhandled: unknown[] = [];
    const listen = (reason: unknown): void => {
      unhandled.push(reason);
    };
    process.on('unhandledRejection', listen);
    const { stream, reject } = setUp();
    reject(new AipassError('INTERNAL', 'broken'));
    await expect(collect(stream)).rejects.toThrow('broken');
    await new Promise(setImmediate);
    process.off('unhandledRejection', listen);
    expect(unhandled).toStrictEqual([]);
  });
});
