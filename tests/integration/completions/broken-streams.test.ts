import { describe, expect, test } from 'vitest';
import { chunkOf, type Reply } from '../../support/loopback-provider.ts';
import { until } from '../../support/until.ts';
import { startFixture } from './completer-fixture.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const EVENTS = { 'content-type': 'text/event-stream' };

function half(content: string): string {
  return `data: ${JSON.stringify(chunkOf({ content }))}\n\n`;
}

describe('a stream', () => {
  test('whose first event is an error fails, though the status was 200', async () => {
    await using fixture = await startFixture();
    fixture.upstream.queue({ kind: 'events', events: [{ error: { message: 'Rate limited upstream', code: 429 } }] });
    const error = await fixture.failure({ stream: true });
    expect(error).toMatchObject({
      code: 'PROVIDER_UNAVAILABLE',
      message: 'openrouter answered 429: Rate limited upstream',
    });
    expect(fixture.settled).toMatchObject([{ kind: 'failed', failure: { status: 429 } }]);
  });

  test.each([
    [
      'as OpenRouter sends it',
      { ...chunkOf({ content: '' }, 'error'), error: { message: 'boom', code: 'server_error' } },
      'answered 500: boom',
    ],
    [
      'in the choice',
      { choices: [{ delta: {}, finish_reason: 'error', error: { message: 'boom', code: 502 } }] },
      'answered 502: boom',
    ],
    ['as the reason alone', chunkOf({}, 'error'), 'answered 200 with an error: the answer broke off'],
  ])('that breaks off with an error %s fails after its deltas', async (_name, event, words) => {
    await using fixture = await startFixture();
    fixture.upstream.queue({ kind: 'events', events: [chunkOf({ content: 'half' }), event] });
    const deltas: unknown[] = [];
    const error = await fixture.failure({ stream: true }, { onDelta: (delta) => void deltas.push(delta) });
    expect(deltas).toEqual([{ content: 'half' }]);
    expect(error.code).toBe('PROVIDER_UNAVAILABLE');
    expect(error.message).toContain(words);
  });

  const halves: [string, Reply, string][] = [
    [
      'without a reason and a mark',
      { kind: 'events', events: [chunkOf({ content: 'half' })], done: false },
      'a stream that ended early',
    ],
    [
      'with a broken connection',
      { kind: 'events', events: [chunkOf({ content: 'half' })], cut: true },
      'broke the connection off',
    ],
    [
      'in the middle of an event',
      { kind: 'text', body: 'data: {"choices":[{"del', headers: EVENTS },
      'JSON that cannot be read',
    ],
    ['before it began', { kind: 'text', body: ': hello\n\n', headers: EVENTS }, 'an answer that holds no choice'],
    [
      'with an event that is not an object',
      { kind: 'text', body: 'data: null\n\n', headers: EVENTS },
      'an answer that holds no choice',
    ],
    [
      'with choices that are none',
      { kind: 'text', body: 'data: {"choices":[null,7]}\n\n', headers: EVENTS },
      'answered with',
    ],
  ];
  test.each(halves)('that ends %s is PROVIDER_UNAVAILABLE', async (_what, reply, words) => {
    await using fixture = await startFixture();
    fixture.upstream.queue(reply);
    const error = await fixture.failure({ stream: true });
    expect(error.code).toBe('PROVIDER_UNAVAILABLE');
    expect(error.message).toContain(words);
  });

  test('may take as long as it likes while bytes come, comments too; a gap is TIMED_OUT', async () => {
    const clock = new ManualClock();
    await using fixture = await startFixture({ clock, config: { timeoutMs: 5000 } });
    fixture.upstream.queue({ kind: 'paced' });
    const deltas: unknown[] = [];
    const failing = fixture.failure({ stream: true }, { onDelta: (delta) => void deltas.push(delta) });
    const { stream, closedByClient } = await fixture.upstream.nextRequest();
    for (let round = 1; round <= 3; round += 1) {
      await stream.comment('keep-alive');
      await stream.push(chunkOf({ content: 'x' }));
      await until('a delta', () => deltas.length === round);
      await until('the wait for the next byte', () => clock.waits.length === 1);
      clock.advance(4999);
    }
    clock.advance(1);
    expect(await failing).toMatchObject({ code: 'TIMED_OUT', message: expect.stringContaining('5000 ms') });
    await closedByClient;
  });

  test('is not timed while its receiver takes its time', async () => {
    const clock = new ManualClock();
    await using fixture = await startFixture({ clock, config: { timeoutMs: 5000 } });
    fixture.upstream.queue({ kind: 'paced' });
    let open: (() => void) | undefined;
    const running = fixture.ask(
      { stream: true },
      {
        onDelta: () =>
          new Promise((resolve) => {
            open = resolve;
          }),
      },
    );
    const { stream } = await fixture.upstream.nextRequest();
    await stream.push(chunkOf({ content: 'x' }));
    await until('the delta', () => open !== undefined);
    expect(clock.waits.length).toBe(0);
    clock.advance(3_600_000);
    open?.();
    await until('the wait for the next byte', () => clock.waits.length === 1);
    await stream.push(chunkOf({}, 'stop'));
    await stream.done();
    expect((await running).content).toBe('x');
  });

  test('that is a web page without an end is given up at once', async () => {
    await using fixture = await startFixture();
    fixture.upstream.queue({ kind: 'paced' });
    const failing = fixture.failure({ stream: true });
    const { stream, closedByClient } = await fixture.upstream.nextRequest();
    await stream.raw('\n<!doctype html>');
    expect((await failing).message).toBe('openrouter answered with a web page');
    await closedByClient;
  });

  test('with an event without an end is given up', async () => {
    await using fixture = await startFixture();
    fixture.upstream.queue({ kind: 'paced' });
    const failing = fixture.failure({ stream: true });
    const { stream, closedByClient } = await fixture.upstream.nextRequest();
    // The connection closes under it.
    stream.raw(`data: ${'x'.repeat(17 * 1024 * 1024)}`).catch(() => {});
    expect(await failing).toMatchObject({
      code: 'PROVIDER_UNAVAILABLE',
      message: expect.stringContaining('16777216'),
    });
    await closedByClient;
  });

  test('without content ends by its time limit, whatever keeps its connection alive', async () => {
    const clock = new ManualClock();
    await using fixture = await startFixture({ clock, config: { timeoutMs: 5000 } });
    fixture.upstream.queue({ kind: 'paced' });
    const deltas: unknown[] = [];
    const failing = fixture.failure({ stream: true }, { onDelta: (delta) => void deltas.push(delta) });
    const { stream, closedByClient } = await fixture.upstream.nextRequest();
    await stream.push(chunkOf({ content: 'x' }));
    await until('the delta', () => deltas.length === 1);
    const keepAlives = [': ping\n\n', 'data:\n\n', 'data: null\n\n', 'event: ping\ndata: {}\n\n', '\n\n'];
    for (const keepAlive of keepAlives) {
      await stream.raw(keepAlive);
      await stream.push(chunkOf({ content: '' }));
      // Another request and its answer: by then the bytes above have arrived.
      await fixture.ask();
      clock.advance(2900);
    }
    clock.advance(600);
    expect(await failing).toMatchObject({
      code: 'TIMED_OUT',
      message: expect.stringContaining('15000 ms'),
    });
    await closedByClient;
  });

  test.each([
    'data:\n\n',
    'data: \n\n',
    'data:\r\n\r\n',
    ': ping\n\n',
    'event: ping\n\n',
    'id: 9\n\n',
    'retry: 1000\n\n',
    'event: ping\ndata:\n\n',
    'event: ping\ndata: {}\n\n',
    'data: : OPENROUTER PROCESSING\n\n',
    'data: null\n\n',
    'data: ping\n\n',
    'data: {"choices":[]}\n\n',
    'data: {"id":"x","choices":null,"error":{}}\n\n',
  ])('goes on after the keep-alive %j', async (keepAlive) => {
    await using fixture = await startFixture();
    const end = `data: ${JSON.stringify(chunkOf({}, 'stop'))}\n\ndata: [DONE] \n\n`;
    fixture.upstream.queue({ kind: 'text', body: half('a') + keepAlive + half('b') + end, headers: EVENTS });
    expect((await fixture.stream()).result.content).toBe('ab');
  });
});
