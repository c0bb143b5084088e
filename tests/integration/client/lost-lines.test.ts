import { writeFileSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { describe, expect, it, vi } from 'vitest';
import { AipassError, connect, type Aipass } from '../../../src/client/index.ts';
import { answering, FakeDaemon, startFakeDaemon, welcomeOnly, type FakeLine } from '../../support/fake-daemon.ts';
import { Program } from '../../support/run-program.ts';
import { leaveStaleSocket } from '../../support/stale-socket.ts';
import { makeTempHome } from '../../support/temp-home.ts';
import { startTestServer } from '../../support/test-server.ts';
import { until } from '../../support/until.ts';

/**
 * Calls until a new line is tried: until the loss is noticed, a call fails as one that was under
 * way.
 */
async function untilLossIsKnown(aipass: Aipass): Promise<void> {
  await until('the loss is known', async () => {
    const failure: unknown = await aipass.status().catch((error: unknown) => error);
    return failure instanceof AipassError && failure.hint === 'start it: aipassd run';
  });
}

const echo = answering((_op, params) => params);

describe('connect', () => {
  it('fails with DAEMON_UNREACHABLE and what to do where there is no socket', async () => {
    await using home = makeTempHome();
    await expect(connect({ socket: home.paths.socket })).rejects.toMatchObject({
      code: 'DAEMON_UNREACHABLE',
      message: expect.stringContaining(home.paths.socket),
      hint: 'start it: aipassd run',
    });
  });

  it('fails the same way where the socket is what a killed daemon left', async () => {
    await using home = makeTempHome();
    await home.makeRuntime();
    await leaveStaleSocket(home.paths.socket);
    await expect(connect({ socket: home.paths.socket })).rejects.toMatchObject({ code: 'DAEMON_UNREACHABLE' });
  });

  it('fails the same way where the socket is a file', async () => {
    await using home = makeTempHome();
    await home.makeRuntime();
    writeFileSync(home.paths.socket, '');
    await expect(connect({ socket: home.paths.socket })).rejects.toMatchObject({ code: 'DAEMON_UNREACHABLE' });
  });

  it('fails with BAD_REQUEST where the path is too long for a socket', async () => {
    await expect(connect({ socket: `/tmp/${'x'.repeat(200)}` })).rejects.toMatchObject({
      code: 'BAD_REQUEST',
      hint: expect.stringContaining('AIPASSD_RUNTIME_DIR'),
    });
  });

  it('takes a number for a path, not for a port', async () => {
    await expect(connect({ socket: '9' })).rejects.toMatchObject({
      code: 'DAEMON_UNREACHABLE',
      message: expect.stringContaining('no daemon answers on 9'),
    });
  });

  it('fails with VERSION_MISMATCH and the hint of the daemon', async () => {
    const error = { code: 'VERSION_MISMATCH', message: 'this daemon speaks protocol 2', hint: 'update the client' };
    await using test = await startFakeDaemon((_frame, line) => {
      line.send('error', { error });
      line.end();
    });
    await expect(connect({ socket: test.socket })).rejects.toMatchObject(error);
  });

  it('fails with DAEMON_UNREACHABLE where the connection is closed without a word', async () => {
    await using test = await startFakeDaemon((_frame, line) => line.end());
    await expect(connect({ socket: test.socket })).rejects.toMatchObject({
      code: 'DAEMON_UNREACHABLE',
      hint: expect.stringContaining('too many connections'),
    });
  });

  it('fails with INTERNAL where something else listens there', async () => {
    await using test = await startFakeDaemon((_frame, line) => line.sendText('HTTP/1.1 400 Bad Request\r\n\r\n\f'));
    await expect(connect({ socket: test.socket })).rejects.toMatchObject({
      code: 'INTERNAL',
      hint: expect.stringContaining(test.socket),
    });
    await until('the line is closed', () => test.daemon.connections === 0);
  });

  it('fails with DAEMON_UNREACHABLE where the daemon accepts and says nothing', async () => {
    await using test = await startFakeDaemon(() => {});
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const failure = connect({ socket: test.socket }).catch((error: unknown) => error);
      while (test.daemon.received.length === 0) await new Promise(setImmediate);
      vi.advanceTimersByTime(10_000);
      expect(await failure).toMatchObject({
        code: 'DAEMON_UNREACHABLE',
        message: expect.stringContaining('10 s'),
      });
    } finally {
      vi.useRealTimers();
    }
    await until('the line is closed', () => test.daemon.connections === 0);
  });
});

/**
 * Starts a daemon in a process of its own, stops it, and connects until the system takes no more.
 */
async function startFull(socket: string) {
  const listen = `
    const server = require('node:net').createServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', (text) => {
        if (!String(text).includes('hello')) return;
        socket.write(JSON.stringify({ type: 'welcome', data: { protocol: 1, version: '1.2.3', pid: 1 } }) + '\\f');
      });
    });
    server.listen({ path: ${JSON.stringify(socket)}, backlog: 1 }, () => console.log('up'));
  `;
  const program = new Program(process.execPath, ['--eval', listen]);
  await until('it listens', () => program.stdout === 'up\n');
  program.signal('SIGSTOP');
  const waiting: Socket[] = [];
  let isFull = false;
  while (!isFull) {
    const one = createConnection({ path: socket });
    isFull = await new Promise<boolean>((resolve) => {
      one.on('connect', () => resolve(false));
      one.on('error', (error) => resolve('code' in error && error.code === 'EAGAIN'));
    });
    waiting.push(one);
  }
  return {
    goOn: () => program.signal('SIGCONT'),
    async [Symbol.asyncDispose]() {
      for (const one of waiting) one.destroy();
      await program[Symbol.asyncDispose]();
    },
  };
}

// Only Linux says EAGAIN; macOS refuses.
describe.runIf(process.platform === 'linux')('a daemon whose queue of new connections is full', () => {
  it('is tried again until it takes up the connection', async () => {
    await using home = makeTempHome();
    await home.makeRuntime();
    await using daemon = await startFull(home.paths.socket);
    const opening = connect({ socket: home.paths.socket });
    let hasEnded = false;
    opening.finally(() => (hasEnded = true)).catch(() => {});
    for (let turn = 0; turn < 50; turn += 1) await new Promise(setImmediate);
    expect(hasEnded).toBe(false);
    daemon.goOn();
    const aipass = await opening;
    await aipass.close();
  });

  it('is given up when the time is over', async () => {
    await using home = makeTempHome();
    await home.makeRuntime();
    await using daemon = await startFull(home.paths.socket);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const failure = connect({ socket: home.paths.socket }).catch((error: unknown) => error);
      while (vi.getTimerCount() < 2) await new Promise(setImmediate);
      vi.advanceTimersByTime(10_000);
      expect(await failure).toMatchObject({ code: 'DAEMON_UNREACHABLE', hint: expect.any(String) });
      for (let turn = 0; turn < 50; turn += 1) await new Promise(setImmediate);
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
      daemon.goOn();
    }
  });
});

describe('a lost line', () => {
  it('fails calls under way: those that may be repeated, and those that may have had effects', async () => {
    await using test = await startFakeDaemon();
    await using aipass = await connect({ socket: test.socket });
    const outcomes = Promise.allSettled([
      aipass.status(),
      aipass.key('groq'),
      aipass.complete({ model: 'm', messages: [] }),
      aipass.stream({ model: 'm', messages: [] }).result,
    ]);
    await until('all are under way', () => test.daemon.requests.length === 4);
    await test.daemon.stop();
    const codes = (await outcomes).map((outcome) => outcome.status === 'rejected' && outcome.reason.code);
    expect(codes).toStrictEqual(['DAEMON_UNREACHABLE', 'DAEMON_UNREACHABLE', 'CANCELLED', 'CANCELLED']);
    for (const outcome of await outcomes) {
      expect(outcome).toHaveProperty('reason.hint', expect.stringContaining('repeat'));
    }
  });

  it('is made again by the next call, with a new hello', async () => {
    await using test = await startFakeDaemon(echo);
    await using aipass = await connect({ socket: test.socket, caller: 'flow' });
    expect(await aipass.request('key.list', { provider: 'a' })).toStrictEqual({ provider: 'a' });
    await test.daemon.stop();
    await untilLossIsKnown(aipass);
    await expect(aipass.status()).rejects.toMatchObject({ code: 'DAEMON_UNREACHABLE' });
    await test.daemon.start();
    expect(await aipass.request('key.list', { provider: 'b' })).toStrictEqual({ provider: 'b' });
    expect(test.daemon.received.filter(({ type }) => type === 'hello')).toHaveLength(2);
    expect(test.daemon.received.findLast(({ type }) => type === 'hello')?.data.caller).toBe('flow');
  });

  it('is made again once for many calls', async () => {
    await using test = await startFakeDaemon(echo);
    await using aipass = await connect({ socket: test.socket });
    await test.daemon.stop();
    await untilLossIsKnown(aipass);
    await test.daemon.start();
    await Promise.all(Array.from({ length: 50 }, () => aipass.request('key.list', {})));
    expect(test.daemon.accepted).toBe(2);
  });

  it('that ends in the middle of an answer fails the call', async () => {
    await using test = await startFakeDaemon((frame, line) => {
      welcomeOnly(frame, line);
      if (frame.type !== 'request') return;
      line.sendText(`{"type":"reply","data":{"id":${frame.data.id},"result":`);
      line.end();
    });
    await using aipass = await connect({ socket: test.socket });
    await expect(aipass.status()).rejects.toMatchObject({ code: 'DAEMON_UNREACHABLE' });
  });

  it('to a daemon of another version, after an update, says so to whoever asks', async () => {
    await using test = await startFakeDaemon(echo);
    await using aipass = await connect({ socket: test.socket });
    await aipass.request('key.list', {});
    await test.daemon.stop();
    await untilLossIsKnown(aipass);
    await using newer = await FakeDaemon.listen(test.socket, ({ type }, line) => {
      if (type !== 'hello') return;
      line.send('error', { error: { code: 'VERSION_MISMATCH', message: 'protocol 2 only', hint: 'update' } });
      line.end();
    });
    await expect(aipass.status()).rejects.toMatchObject({ code: 'VERSION_MISMATCH', hint: 'update' });
    expect(newer.accepted).toBe(1);
  });

  it('does not keep a call from being cancelled', async () => {
    const lines: FakeLine[] = [];
    await using test = await startFakeDaemon((frame, line) => {
      welcomeOnly(frame, line);
      lines.push(line);
    });
    await using aipass = await connect({ socket: test.socket });
    const abort = new AbortController();
    const failure = aipass.status({ signal: abort.signal }).catch((error: unknown) => error);
    await until('it is under way', () => test.daemon.requests.length === 1);
    for (const line of lines) line.destroy();
    expect(await failure).toMatchObject({ code: 'DAEMON_UNREACHABLE' });
    expect(() => abort.abort()).not.toThrow();
  });

  it('leaves no call waiting, of however many', async () => {
    await using test = await startFakeDaemon(() => {});
    const opening = connect({ socket: test.socket });
    await until('it says hello', () => test.daemon.received.length === 1);
    test.daemon.answer = welcomeOnly;
    await test.daemon.stop();
    await expect(opening).rejects.toMatchObject({ code: 'DAEMON_UNREACHABLE' });
    await test.daemon.start();
    const aipass = await connect({ socket: test.socket });
    const calls = Promise.allSettled(Array.from({ length: 150_000 }, () => aipass.request('key.list', {})));
    await until('the first is under way', () => test.daemon.requests.length > 0);
    await test.daemon.stop();
    expect((await calls).every(({ status }) => status === 'rejected')).toBe(true);
    await aipass.close();
  });
});

describe('a call that the daemon finds too long', () => {
  it('fails with its reason, while the others may be repeated', async () => {
    await using test = await startTestServer({ frameBytes: 64 * 1024 });
    await using aipass = await connect({ socket: test.socket });
    const outcomes = await Promise.allSettled([
      aipass.request('secret.list', {}),
      aipass.complete({ model: 'm', messages: [{ role: 'user', content: 'x'.repeat(200_000) }] }),
    ]);
    expect(outcomes[0]).toMatchObject({ reason: { code: 'DAEMON_UNREACHABLE' } });
    expect(outcomes[1]).toMatchObject({
      reason: { code: 'BAD_REQUEST', message: expect.stringContaining('65536 bytes') },
    });
    expect(await aipass.request('provider.list', {})).toStrictEqual({});
  });
});
