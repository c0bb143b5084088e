import { describe, expect, test } from 'vitest';
import { AipassError } from '../../../src/base/errors.ts';
import { chunkOf } from '../../support/loopback-provider.ts';
import { until } from '../../support/until.ts';
import { startFixture } from './completer-fixture.ts';

describe.each([
  ['whole', false],
  ['streamed', true],
])('a %s completion that is cancelled', (_name, stream) => {
  test('before the head of the answer closes the connection at once', async () => {
    await using fixture = await startFixture();
    // The SDK is loaded with the first request: that is not what is measured.
    await fixture.ask();
    fixture.upstream.queue({ kind: 'stall', after: 'nothing' });
    const controller = new AbortController();
    await fixture.upstream.nextRequest();
    const failing = fixture.failure({ stream }, { signal: controller.signal });
    const { closedByClient } = await fixture.upstream.nextRequest();
    controller.abort();
    expect((await failing).code).toBe('CANCELLED');
    await closedByClient;
    expect(fixture.settled.at(-1)).toEqual({ kind: 'cancelled' });
  });

  test('after the head of the answer closes the connection at once', async () => {
    await using fixture = await startFixture();
    fixture.upstream.queue({ kind: 'stall', after: 'head', type: stream ? 'text/event-stream' : 'application/json' });
    const controller = new AbortController();
    const failing = fixture.failure({ stream }, { signal: controller.signal });
    const { closedByClient } = await fixture.upstream.nextRequest();
    controller.abort();
    expect((await failing).code).toBe('CANCELLED');
    await closedByClient;
  });

  test('before it began is not sent', async () => {
    await using fixture = await startFixture();
    const error = await fixture.failure({ stream }, { signal: AbortSignal.abort() });
    expect(error.code).toBe('CANCELLED');
    expect(fixture.upstream.requests).toEqual([]);
  });

  test('with a reason of ours fails with that reason', async () => {
    await using fixture = await startFixture();
    fixture.upstream.queue({ kind: 'stall', after: 'nothing' });
    const controller = new AbortController();
    const failing = fixture.failure({ stream }, { signal: controller.signal });
    await fixture.upstream.nextRequest();
    const reason = new AipassError('CANCELLED', 'the daemon stops');
    controller.abort(reason);
    expect(await failing).toBe(reason);
  });
});

describe('a stream that is cancelled', () => {
  test('between two deltas closes the connection at once, and is no success', async () => {
    await using fixture = await startFixture();
    fixture.upstream.queue({ kind: 'paced' });
    const controller = new AbortController();
    const deltas: unknown[] = [];
    const failing = fixture.failure(
      { stream: true },
      { signal: controller.signal, onDelta: (delta) => void deltas.push(delta) },
    );
    const { stream, closedByClient } = await fixture.upstream.nextRequest();
    await stream.push(chunkOf({ content: 'half' }));
    await until('the delta', () => deltas.length === 1);
    controller.abort();
    expect((await failing).code).toBe('CANCELLED');
    await closedByClient;
    expect(fixture.settled).toEqual([{ kind: 'cancelled' }]);
  });

  test('while its receiver has no room does not wait for room', async () => {
    await using fixture = await startFixture();
    fixture.upstream.queue({ kind: 'paced' });
    const controller = new AbortController();
    let waits = 0;
    const failing = fixture.failure(
      { stream: true },
      {
        signal: controller.signal,
        onDelta: () => {
          waits += 1;
          return new Promise(() => {});
        },
      },
    );
    const { stream, closedByClient } = await fixture.upstream.nextRequest();
    await stream.push(chunkOf({ content: 'x' }));
    await until('the delta', () => waits === 1);
    controller.abort();
    expect((await failing).code).toBe('CANCELLED');
    await closedByClient;
  });
});

test('a receiver that fails ends the request, and the key is not blamed', async () => {
  await using fixture = await startFixture();
  fixture.upstream.queue({ kind: 'paced' });
  const gone = new AipassError('CANCELLED', 'the caller is gone');
  const failing = fixture.failure({ stream: true }, { onDelta: () => Promise.reject(gone) });
  const { stream, closedByClient } = await fixture.upstream.nextRequest();
  await stream.push(chunkOf({ content: 'x' }));
  expect(await failing).toBe(gone);
  await closedByClient;
  expect(fixture.settled).toEqual([{ kind: 'cancelled' }]);
});

test('a signal that aborts after the result changes nothing and is let go', async () => {
  await using fixture = await startFixture();
  const controller = new AbortController();
  const result = await fixture.ask({}, { signal: controller.signal });
  controller.abort();
  expect(result.content).toBe('pong');
  expect((await fixture.ask()).content).toBe('pong');
});
