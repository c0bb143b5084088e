import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import { Gate } from '../../../src/callers/gate.ts';
import { UserLimits } from '../../../src/callers/user-limits.ts';
import { WIDE_LIMITS } from '../../support/admission.ts';
import { RawClient } from '../../support/raw-client.ts';
import { startTestServer } from '../../support/test-server.ts';
import { until } from '../../support/until.ts';

const ASK = '{"type":"request","data":{"id":1,"op":"status.get","params":{}}}';

/** Makes a gate whose users may have so many bytes waiting, and so many connections. */
function narrow(waitingBytes: number, connections = WIDE_LIMITS.connections): { limits: UserLimits; gate: Gate } {
  const policy = { ownUid: process.getuid?.() ?? 0, grants: [], organizations: new Map() };
  const limits = new UserLimits({ ...WIDE_LIMITS, waitingBytes, connections }, systemClock);
  return { limits, gate: new Gate({ grants: () => policy, limits, onRejected: () => {} }) };
}

describe('the limit on a frame', () => {
  it('lets a frame of exactly that length pass', async () => {
    const frame = ASK.replace('{}}}', `{"pad":"${'x'.repeat(4096)}"}}}`);
    await using test = await startTestServer({ frameBytes: frame.length });
    await using client = await RawClient.open(test.socket);
    client.sendText(`${frame}\f`);
    expect(await client.next('reply')).toMatchObject({ data: { id: 1 } });
  });

  it('ends the connection of who exceeds it, after an error that says so', async () => {
    await using test = await startTestServer({ frameBytes: 4096 });
    await using client = await RawClient.greet(test.socket);
    client.sendText(`${'x'.repeat(4097)}\f`);
    expect((await client.next('error')).data.error).toMatchObject({
      code: 'BAD_REQUEST',
      message: expect.stringContaining('4096 bytes'),
      hint: 'shorten it, or raise limits.frameBytes',
    });
    await client.closed();
    await until('it is gone', () => test.server.connections === 0);
  });

  it('does not wait for the end of a frame that is too long already', async () => {
    await using test = await startTestServer({ frameBytes: 64 * 1024 });
    await using client = await RawClient.greet(test.socket);
    client.sendText('x'.repeat(64 * 1024 + 1));
    expect((await client.next('error')).data.error?.code).toBe('BAD_REQUEST');
    await client.closed();
  });

  it('reaches the peer even while that is still sending many times as much', async () => {
    await using test = await startTestServer({ frameBytes: 1024 * 1024 });
    await using other = await RawClient.greet(test.socket);
    await using client = await RawClient.greet(test.socket);
    client.sendText('x'.repeat(64 * 1024 * 1024));
    expect((await client.next('error')).data.error?.code).toBe('BAD_REQUEST');
    expect(await other.ask(1, 'status.get', {})).toMatchObject({ type: 'reply' });
    await client.closed();
  });

  it('is counted in bytes of UTF-8, wherever the chunks are cut', async () => {
    await using test = await startTestServer({ frameBytes: 4096 });
    await using client = await RawClient.greet(test.socket);
    client.sendText('世'.repeat(1366));
    expect((await client.next('error')).data.error?.code).toBe('BAD_REQUEST');
  });
});

describe('the limit on the time for a frame', () => {
  it('ends the connection of who begins a frame and does not end it', async () => {
    await using test = await startTestServer({ unfinishedFrameMs: 50 });
    await using other = await RawClient.greet(test.socket);
    await using client = await RawClient.greet(test.socket);
    client.sendText('{"type":"request","data":');
    expect((await client.next('error')).data.error).toMatchObject({
      code: 'TIMED_OUT',
      message: expect.stringContaining('0.05 s'),
    });
    await client.closed();
    expect(await other.ask(1, 'status.get', {})).toMatchObject({ type: 'reply' });
  });

  it('counts from the beginning of the frame: a byte now and then does not prolong it', async () => {
    await using test = await startTestServer({ unfinishedFrameMs: 100 });
    await using client = await RawClient.greet(test.socket);
    client.sendText('{');
    await until('the connection ends', () => {
      if (!client.isClosed) client.sendText(' ');
      return client.messages.some((message) => message.data.error?.code === 'TIMED_OUT');
    });
  });

  it('is no limit on who sends nothing, or waits for an answer', async () => {
    await using test = await startTestServer({ unfinishedFrameMs: 20 });
    await using idle = await RawClient.greet(test.socket);
    await using waiting = await RawClient.greet(test.socket);
    await using dawdler = await RawClient.greet(test.socket);
    waiting.request(1, 'secret.list', { late: true });
    dawdler.sendText('{');
    // The dawdler's end shows that unfinished frames were looked for.
    await dawdler.closed();
    test.finish();
    expect(await waiting.next('reply')).toMatchObject({ data: { result: { late: true } } });
    expect(await idle.ask(1, 'status.get', {})).toMatchObject({ type: 'reply' });
  });
});

describe('the limit on connections', () => {
  it('refuses one too many, and has room again when one leaves', async () => {
    await using test = await startTestServer({ gate: narrow(WIDE_LIMITS.waitingBytes, 2).gate });
    await using first = await RawClient.greet(test.socket);
    const second = await RawClient.greet(test.socket);
    await using third = await RawClient.open(test.socket);
    third.send('hello', { protocol: 1 });
    await third.closed();
    expect(third.messages).toMatchObject([{ type: 'error', data: { error: { code: 'BAD_REQUEST' } } }]);
    expect(await first.ask(1, 'status.get', {})).toMatchObject({ type: 'reply' });
    second.destroy();
    await until('the second is gone', () => test.server.connections === 1);
    await using fourth = await RawClient.greet(test.socket);
    expect(await fourth.ask(1, 'status.get', {})).toMatchObject({ type: 'reply' });
  });

  it('ends a connection that says nothing within seconds, and none that said hello', async () => {
    await using test = await startTestServer({ silentMs: 200 });
    await using greeted = await RawClient.greet(test.socket);
    await using silent = await RawClient.open(test.socket);
    expect((await silent.next('error')).data.error).toMatchObject({ code: 'TIMED_OUT' });
    await silent.closed();
    expect(await greeted.ask(1, 'status.get', {})).toMatchObject({ type: 'reply' });
  });
});

describe('the limit on requests in flight', () => {
  it('refuses one too many with its id, and the others get their answers', async () => {
    await using test = await startTestServer({ maxInFlight: () => 3 });
    await using client = await RawClient.greet(test.socket);
    await using other = await RawClient.greet(test.socket);
    for (const id of [1, 2, 3, 4]) client.request(id, 'secret.list', { id });
    const { data } = await client.next('error');
    expect(data.id).toBe(4);
    expect(data.error?.code).toBe('BAD_REQUEST');
    expect(test.server.requestsInFlight).toBe(3);
    expect(await other.ask(1, 'status.get', {})).toMatchObject({ type: 'reply' });
    test.finish();
    for (const id of [1, 2, 3]) await client.next((message) => message.type === 'reply' && message.data.id === id);
    expect(test.server.requestsInFlight).toBe(0);
    expect(await client.ask(5, 'status.get', {})).toMatchObject({ type: 'reply' });
  });
});

describe('the limit on silence', () => {
  it('ends who asks for nothing, hello or not, and nobody who waits for an answer or asks now and then', async () => {
    await using test = await startTestServer({ idleMs: 200 });
    await using waiting = await RawClient.greet(test.socket);
    waiting.request(1, 'secret.list', { late: true });
    await using lively = await RawClient.greet(test.socket);
    await using mute = await RawClient.open(test.socket);
    await using idle = await RawClient.greet(test.socket);
    let id = 0;
    await until('the idle ones are gone', async () => {
      id += 1;
      await lively.ask(id, 'status.get');
      return idle.isClosed && mute.isClosed;
    });
    expect((await idle.next('error')).data.error).toMatchObject({
      code: 'TIMED_OUT',
      hint: expect.stringContaining('connect again'),
    });
    test.finish();
    expect(await waiting.next('reply')).toMatchObject({ data: { id: 1 } });
    expect(test.server.connections).toBeGreaterThanOrEqual(1);
  });
});

describe('the limit on the connections of one user', () => {
  it('counts one that is being ended until its socket is closed, because it takes a place until then', async () => {
    const { gate, limits } = narrow(1024 * 1024, 1);
    await using test = await startTestServer({ gate });
    const bad = await RawClient.greet(test.socket);
    bad.pause();
    bad.sendText('no frame\f');
    await using next = await RawClient.open(test.socket);
    expect((await next.next('error')).data.error).toMatchObject({ code: 'BAD_REQUEST', retryAfterMs: 1000 });
    bad.destroy();
    await until('nothing is held', () => limits.users === 0);
  });

  it('takes leave of 64 at once, and of more without a word', async () => {
    const { gate } = narrow(1024 * 1024, 0);
    await using test = await startTestServer({ gate });
    const heard: string[] = [];
    let ended = 0;
    // Who is allowed to stay half open does not go when it is told to.
    const sockets = Array.from({ length: 100 }, () => {
      const socket = connect({ path: test.socket, allowHalfOpen: true });
      socket.on('data', (bytes) => heard.push(bytes.toString()));
      socket.on('error', () => {});
      return socket.once('end', () => {
        ended += 1;
      });
    });
    await until('all are told to go', () => ended === 100);
    expect(heard).toHaveLength(64);
    expect(heard.every((text) => text.includes('too many connections'))).toBe(true);
    for (const socket of sockets) socket.destroy();
  });
});

describe('the limit on the bytes that wait for one user', () => {
  it('counts unfinished frames over all connections, ends who goes over it, and forgets what is gone', async () => {
    const { gate, limits } = narrow(256 * 1024);
    await using test = await startTestServer({ gate });
    await using good = await RawClient.greet(test.socket);
    const halves = await Promise.all(Array.from({ length: 8 }, () => RawClient.greet(test.socket)));
    for (const half of halves) half.sendText('x'.repeat(60 * 1024));
    await until('one too many is ended', () => halves.some((half) => half.isClosed));
    const ended = halves.find((half) => half.isClosed);
    expect((await ended?.next('error'))?.data.error).toMatchObject({
      code: 'BAD_REQUEST',
      hint: expect.stringContaining('limits.perUser.waitingBytes'),
    });
    expect(await good.ask(1, 'status.get', {})).toMatchObject({ type: 'reply' });
    for (const half of halves) half.destroy();
    good.destroy();
    await until('nothing is held', () => limits.users === 0);
  });

  it('counts replies that are not read', async () => {
    const { gate } = narrow(512 * 1024);
    await using test = await startTestServer({ gate });
    await using good = await RawClient.greet(test.socket);
    await using lazy = await RawClient.greet(test.socket);
    lazy.pause();
    lazy.request(1, 'completion.create', { count: 100, size: 256 * 1024 });
    await until('it is ended', () => test.server.connections === 1);
    expect(await good.ask(1, 'status.get', {})).toMatchObject({ type: 'reply' });
  });

  it('refuses a request that makes those in flight too large together, on whichever connection, until one ends', async () => {
    const { gate, limits } = narrow(256 * 1024);
    await using test = await startTestServer({ gate });
    const first = await RawClient.greet(test.socket);
    const second = await RawClient.greet(test.socket);
    const pad = 'x'.repeat(150 * 1024);
    first.request(1, 'secret.list', { pad });
    await until('it is in flight', () => test.contexts.length === 1);
    expect((await second.ask(2, 'status.get', { pad })).data).toMatchObject({
      id: 2,
      error: { code: 'BAD_REQUEST', retryAfterMs: 100, hint: expect.stringContaining('limits.perUser.waitingBytes') },
    });
    expect(await second.ask(3, 'status.get', {})).toMatchObject({ type: 'reply' });
    test.finish();
    await first.next('reply');
    expect(await second.ask(4, 'status.get', { pad })).toMatchObject({ type: 'reply' });
    second.request(5, 'secret.list', { pad });
    await until('it is in flight', () => test.server.requestsInFlight === 1);
    first.destroy();
    second.destroy();
    await until('nothing is held', () => limits.users === 0);
  });
});
