import { once } from 'node:events';
import { readSync } from 'node:fs';
import { setImmediate as nextPass } from 'node:timers/promises';
import { request as sendRequest, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { expect, it } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import { AipassError } from '../../../src/base/errors.ts';
import { socketDescriptor } from '../../../src/base/native.ts';
import type { AccessGrants } from '../../../src/callers/access.ts';
import { Gate } from '../../../src/callers/gate.ts';
import { UserLimits } from '../../../src/callers/user-limits.ts';
import { WIDE_LIMITS } from '../../support/admission.ts';
import {
  ANSWERED,
  answerPong,
  OWN_GRANT,
  OWN_UID,
  readAll,
  startTestGateway,
  type Forward,
  type TestGateway,
} from '../../support/test-gateway.ts';
import { until } from '../../support/until.ts';

const MEGABYTE = Buffer.alloc(1024 * 1024, 'a');
const NOTHING = Buffer.alloc(0);
const HANGING: Forward = (_request, _sink, signal) =>
  new Promise((resolve) => {
    signal.addEventListener('abort', () => {
      const error: unknown = signal.reason;
      if (error instanceof AipassError) resolve({ kind: 'failed', error, begun: false, isRepeated: false });
    });
  });

/** Answers in two parts, or fails where the path wants it. */
const answerInParts: Forward = async ({ path }, sink) => {
  if (path.endsWith('error')) throw new AipassError('PROVIDER_UNAVAILABLE', 'down');
  sink.head(200, { 'content-type': 'text/plain', 'content-length': '9' });
  await sink.write(Buffer.from('all '));
  await sink.end(Buffer.from('of it'));
  return ANSWERED;
};

/** Begins a request over the socket, and resolves with the head of its answer. */
function begin(gateway: TestGateway, path = '/local/v1/x'): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = sendRequest({ socketPath: gateway.path, path, agent: false }, resolve);
    request.on('error', reject);
    request.end();
  });
}

it('a slow reader of 200 MB holds the provider back, and gets all of it', async () => {
  let written = 0;
  await using gateway = await startTestGateway({
    forward: async (_request, sink) => {
      sink.head(200, { 'content-type': 'application/octet-stream' });
      for (let at = 0; at < 200; at += 1) {
        await sink.write(MEGABYTE);
        written += 1;
      }
      await sink.end(NOTHING);
      return ANSWERED;
    },
  });
  const answer = await begin(gateway);
  // Nothing is read yet: what is written now is what the two sockets hold.
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  expect(written).toBeLessThan(4);
  let bytes = 0;
  answer.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  await once(answer, 'end');
  expect(bytes).toBe(200 * MEGABYTE.length);
});

it('a client that goes away ends the call within 50 ms', async () => {
  const aborted: unknown[] = [];
  let endedAt = 0;
  await using gateway = await startTestGateway({
    forward: (request, sink, signal) => {
      signal.addEventListener('abort', () => {
        aborted.push(signal.reason);
        endedAt = performance.now();
      });
      return HANGING(request, sink, signal);
    },
  });
  const socket = gateway.connect();
  socket.write('GET /local/v1/x HTTP/1.1\r\nHost: x\r\n\r\n');
  await until('the call is under way', () => gateway.calls.length === 1);
  const left = performance.now();
  socket.destroy();
  await until('it is aborted', () => endedAt > 0);
  expect(endedAt - left).toBeLessThan(50);
  expect(aborted).toMatchObject([{ code: 'CANCELLED' }]);
});

it('a client that goes away ends the calls whose answers wait behind another one, too', async () => {
  const aborted: string[] = [];
  await using gateway = await startTestGateway({
    forward: (request, sink, signal) => {
      signal.addEventListener('abort', () => aborted.push(request.path));
      return HANGING(request, sink, signal);
    },
  });
  const socket = gateway.connect();
  socket.write('GET /local/v1/a HTTP/1.1\r\nHost: x\r\n\r\nGET /local/v1/b HTTP/1.1\r\nHost: x\r\n\r\n');
  await until('both calls are under way', () => gateway.calls.length === 2);
  expect(gateway.listeners.requestsInFlight).toBe(2);
  socket.destroy();
  await until('both are aborted', () => aborted.length === 2);
  // The end of the client's side comes before the close of the connection.
  await until('nothing is in flight', () => gateway.listeners.requestsInFlight === 0);
});

it('a client that closes its side and reads no more ends the call within 50 ms', async () => {
  let endedAt = 0;
  await using gateway = await startTestGateway({
    forward: async (_request, sink, signal) => {
      signal.addEventListener('abort', () => {
        endedAt = performance.now();
      });
      sink.head(200, { 'content-type': 'application/octet-stream' });
      for (;;) await sink.write(MEGABYTE);
    },
  });
  const socket = gateway.connect();
  socket.pause();
  socket.write('GET /local/v1/x HTTP/1.1\r\nHost: x\r\n\r\n');
  await until('the answer waits for the client', () => gateway.calls.length === 1);
  const left = performance.now();
  socket.end();
  await until('it is aborted', () => endedAt > 0);
  expect(endedAt - left).toBeLessThan(50);
  socket.destroy();
});

it('an answer that breaks off never comes to a clean end', async () => {
  await using gateway = await startTestGateway({
    forward: async (_request, sink) => {
      sink.head(200, { 'content-type': 'text/event-stream' });
      await sink.write(Buffer.from('data: half\n\n'));
      sink.abort();
      return { kind: 'failed', error: new AipassError('PROVIDER_UNAVAILABLE', 'cut'), begun: true, isRepeated: false };
    },
  });
  const reply = await gateway.ask('/local/v1/chat/completions', { method: 'POST', body: '{}' });
  expect(reply).toMatchObject({ status: 200, body: 'data: half\n\n', isComplete: false });
});

it('the last bytes of an answer, and an error, leave once what was recorded is on disk', async () => {
  const commits: (() => void)[] = [];
  const whenRecorded = () => new Promise<void>((resolve) => void commits.push(resolve));
  await using gateway = await startTestGateway({ forward: answerInParts, whenRecorded });
  for (const path of ['answer', 'error']) {
    const socket = gateway.connect();
    let received = '';
    socket.on('data', (chunk: Buffer) => (received += chunk.toString()));
    socket.write(`GET /local/v1/${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    await until('the end waits', () => commits.length === 1);
    if (path === 'answer') await until('the first part is there', () => received.endsWith('\r\n\r\nall '));
    await nextPass();
    expect(received).toMatch(path === 'answer' ? /all $/ : /^$/);
    commits.pop()?.();
    await once(socket, 'close');
    expect(received).toMatch(path === 'answer' ? /all of it$/ : /^HTTP\/1\.1 503 /);
  }
});

it('a client that goes away while its answer waits for the disk harms nobody', async () => {
  const commits: (() => void)[] = [];
  const whenRecorded = () => new Promise<void>((resolve) => void commits.push(resolve));
  await using gateway = await startTestGateway({ whenRecorded });
  const socket = gateway.connect();
  socket.write('GET /local/v1/x HTTP/1.1\r\nHost: x\r\n\r\n');
  await until('the end waits', () => commits.length === 1);
  socket.destroy();
  await until('its connection is closed', () => gateway.listeners.connections === 0);
  commits.pop()?.();
  const next = gateway.ask('/local/v1/x');
  await until('the next end waits', () => commits.length === 1);
  commits.pop()?.();
  expect(await next).toMatchObject({ status: 200, body: '"pong"' });
  expect(gateway.logger.lines).toEqual([]);
});

it('a failure before the answer began is an error of the dialect', async () => {
  const error = new AipassError('POOL_EXHAUSTED', 'all keys cool down', { retryAfterMs: 30_000 });
  await using gateway = await startTestGateway({
    forward: () => Promise.resolve({ kind: 'failed', error, begun: false, isRepeated: false }),
  });
  const reply = await gateway.ask('/anthropic/v1/messages', { method: 'POST', body: '{}' });
  expect(reply).toMatchObject({ status: 429, headers: { 'retry-after': '30', 'x-should-retry': 'false' } });
  expect(JSON.parse(reply.body)).toMatchObject({ type: 'error', error: { type: 'rate_limit_error' } });
});

it('a defect fails its own request only, and is logged', async () => {
  await using gateway = await startTestGateway({ forward: () => Promise.reject(new TypeError('nobody expects this')) });
  const reply = await gateway.ask('/local/v1/x');
  expect(reply.status).toBe(500);
  expect(reply.body).not.toContain('nobody expects this');
  expect(gateway.logger.lines).toMatchObject([{ level: 'error' }]);
  expect((await gateway.ask('/healthz')).status).toBe(200);
});

it('2,000 idle connections harm nobody, and end by themselves', async () => {
  await using gateway = await startTestGateway({ timeouts: { headersMs: 3000, checkMs: 100 } });
  const sockets: Socket[] = [];
  for (let at = 0; at < 2000; at += 1) {
    const socket = gateway.connect();
    socket.on('error', () => {});
    socket.resume();
    sockets.push(socket);
    if (at % 200 === 199) await until('they are accepted', () => gateway.listeners.connections > at);
  }
  expect(await gateway.ask('/local/v1/models')).toMatchObject({ status: 200 });
  await until('they are closed', () => gateway.listeners.connections === 0, 20_000);
  for (const socket of sockets) socket.destroy();
});

it('a kept connection ends when nothing more is asked on it', async () => {
  await using gateway = await startTestGateway({ timeouts: { keepAliveMs: 50, checkMs: 50 } });
  const socket = gateway.connect();
  const all = readAll(socket);
  socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
  expect(await all).toMatch(/^HTTP\/1\.1 200 /);
});

it('strangers on loopback cannot take the place of whoever has a token', async () => {
  await using gateway = await startTestGateway();
  const run = await gateway.listeners.openRun(OWN_GRANT);
  const strangers = Array.from({ length: 400 }, () => gateway.connect(run.port));
  for (const socket of strangers) socket.on('error', () => {});
  await until('the first ones gave way', () => strangers.filter((socket) => socket.closed).length >= 144);
  const headers = { authorization: `Bearer ${run.token}` };
  expect(await gateway.ask('/local/v1/models', { port: run.port, headers })).toMatchObject({ status: 200 });
  for (const socket of strangers) socket.destroy();
});

it('pipelined requests are answered in their order, a few at a time, while others are served', async () => {
  let underWay = 0;
  let most = 0;
  await using gateway = await startTestGateway({
    forward: async (request, sink) => {
      underWay += 1;
      most = Math.max(most, underWay);
      await nextPass();
      sink.head(200, { 'content-type': 'text/plain', 'content-length': '6' });
      await sink.end(Buffer.from(`${request.path.slice(3).padStart(5, '0')};`));
      underWay -= 1;
      return ANSWERED;
    },
  });
  const socket = gateway.connect();
  const all = readAll(socket);
  const numbers = Array.from({ length: 3000 }, (_, at) => at);
  socket.write(numbers.map((at) => `GET /local/x/${at} HTTP/1.1\r\nHost: x\r\n\r\n`).join(''));
  await until('some of them are under way', () => gateway.calls.length > 0);
  expect((await gateway.ask('/healthz')).status).toBe(200);
  expect(gateway.calls.length).toBeLessThan(3000);
  await until('all were called', () => gateway.calls.length === 3000, 20_000);
  socket.end();
  const bodies = [...(await all).matchAll(/(\d{5});/g)].map(([, number]) => Number(number));
  expect(bodies).toEqual(numbers);
  // What one turn of the parser can hold, and those before it that had no answer yet.
  expect(most).toBeLessThanOrEqual(64);
});

it('a body in chunks of one byte arrives whole, and leaves the event loop to others', async () => {
  let passes = 0;
  const counting = new AbortController();
  const count = (): void => {
    passes += 1;
    if (!counting.signal.aborted) setImmediate(count);
  };
  await using gateway = await startTestGateway();
  const socket = gateway.connect();
  const all = readAll(socket);
  count();
  const head = 'POST /local/v1/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n';
  socket.write(`${head}${'1\r\na\r\n'.repeat(50_000)}0\r\n\r\n`);
  expect(await all).toMatch(/^HTTP\/1\.1 200 /);
  counting.abort();
  expect(gateway.calls[0]?.body).toEqual(Buffer.alloc(50_000, 'a'));
  // 300 KB come in a handful of reads; each of them is handled in several passes.
  expect(passes).toBeGreaterThan(10);
});

it.each([
  ['a switch of protocols', 'GET /local/v1/x HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n'],
  ['a CONNECT', 'CONNECT evil.example:443 HTTP/1.1\r\nHost: x\r\n\r\n'],
  ['garbage', 'not http at all\r\n\r\n'],
])('%s behind a request does not take the place of its answer', async (_what, behind) => {
  const { promise: mayEnd, resolve: end } = Promise.withResolvers<void>();
  await using gateway = await startTestGateway({
    forward: async (request, sink, signal) => {
      await mayEnd;
      return await answerPong(request, sink, signal);
    },
  });
  const socket = gateway.connect();
  const all = readAll(socket);
  socket.write(`GET /local/v1/x HTTP/1.1\r\nHost: x\r\n\r\n${behind}`);
  await until('it is asked', () => gateway.calls.length === 1);
  await nextPass();
  end();
  expect(await all).toMatch(/^HTTP\/1\.1 200 [^]*"pong"\r\n0\r\n\r\n$/);
});

it('a stream that breaks behind another request ends its connection once that one was answered', async () => {
  const { promise: mayEnd, resolve: end } = Promise.withResolvers<void>();
  const { promise: isBroken, resolve: broken } = Promise.withResolvers<void>();
  await using gateway = await startTestGateway({
    forward: async (request, sink, signal) => {
      if (request.path !== '/broken') {
        await mayEnd;
        return await answerPong(request, sink, signal);
      }
      sink.head(200, { 'content-type': 'text/event-stream' });
      await sink.write(Buffer.from('data: one\n\n'));
      sink.abort();
      broken();
      const error = new AipassError('PROVIDER_UNAVAILABLE', 'broke off');
      return { kind: 'failed', error, begun: true, isRepeated: false };
    },
  });
  const socket = gateway.connect();
  const all = readAll(socket);
  socket.write('GET /local/v1/x HTTP/1.1\r\nHost: x\r\n\r\nGET /local/v1/broken HTTP/1.1\r\nHost: x\r\n\r\n');
  await isBroken;
  end();
  expect(await all).toMatch(/"pong"\r\n0\r\n\r\nHTTP\/1\.1 200 [^]*data: one\n\n\r\n$/);
});

it('a broken answer to HTTP/1.0 on loopback is a reset, and not an end', async () => {
  await using gateway = await startTestGateway({
    forward: async (_request, sink) => {
      sink.head(200, { 'content-type': 'text/event-stream' });
      await sink.write(Buffer.from('data: one\n\n'));
      sink.abort();
      const error = new AipassError('PROVIDER_UNAVAILABLE', 'broke off');
      return { kind: 'failed', error, begun: true, isRepeated: false };
    },
  });
  const { port, token } = await gateway.listeners.openRun(OWN_GRANT);
  const socket = gateway.connect(port);
  const failed = once(socket, 'error');
  socket.resume();
  socket.write(`GET /local/v1/x HTTP/1.0\r\nHost: 127.0.0.1:${port}\r\nAuthorization: Bearer ${token}\r\n\r\n`);
  expect((await failed)[0]).toMatchObject({ code: 'ECONNRESET' });
});

it('a body that is sent without waiting for 100 Continue does not cost its client the answer', async () => {
  await using gateway = await startTestGateway();
  const { port } = await gateway.listeners.openRun(OWN_GRANT);
  for (let round = 0; round < 10; round += 1) {
    const socket = gateway.connect(port);
    const all = readAll(socket);
    const length = 20 * MEGABYTE.length;
    socket.write(`POST /local/v1/x HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nExpect: 100-continue\r\n`);
    socket.write(`Connection: close\r\nContent-Length: ${length}\r\n\r\n`);
    for (let sent = 0; sent < length; sent += MEGABYTE.length) socket.write(MEGABYTE);
    expect(await all).toMatch(/^HTTP\/1\.1 401 /);
    socket.destroy();
  }
});

it('a user over the limit of connections or requests is told to wait', async () => {
  await using gateway = await startTestGateway({ limits: { connections: 2, inFlight: 1 }, forward: HANGING });
  const [first, second] = [gateway.connect(), gateway.connect()];
  first.write('GET /local/v1/x HTTP/1.1\r\nHost: x\r\n\r\n');
  await until('one call is under way', () => gateway.calls.length === 1);
  const answer = once(second, 'data');
  second.write('GET /local/v1/x HTTP/1.1\r\nHost: x\r\n\r\n');
  expect(String((await answer)[0])).toMatch(/^HTTP\/1\.1 429 [\s\S]*retry-after: 1\r\n/);
  const third = gateway.connect();
  expect(await readAll(third)).toMatch(/^HTTP\/1\.1 429 /);
  for (const socket of [first, second]) socket.destroy();
  await until('their places are free', () => gateway.listeners.connections === 0);
  const fourth = gateway.connect();
  fourth.write('GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  expect(await readAll(fourth)).toMatch(/^HTTP\/1\.1 200 /);
});

it('what waits for one user is bounded over all of its requests', async () => {
  await using gateway = await startTestGateway({ limits: { waitingBytes: 1000 } });
  const reply = await gateway.ask('/local/v1/x', {
    method: 'POST',
    body: Buffer.alloc(2000),
    headers: { 'transfer-encoding': 'chunked' },
  });
  expect(reply.status).toBe(429);
  expect((await gateway.ask('/local/v1/x', { method: 'POST', body: Buffer.alloc(500) })).status).toBe(200);
});

it('a stop lets a request finish, and a request that does not is told why', async () => {
  const finished = Promise.withResolvers<void>();
  await using gateway = await startTestGateway({
    forward: async (request, sink, signal) => {
      if (request.path === '/hangs') return HANGING(request, sink, signal);
      await finished.promise;
      return answerPong(request, sink, signal);
    },
  });
  const finishing = gateway.ask('/local/v1/ends');
  const hanging = gateway.ask('/local/v1/hangs');
  await until('both are under way', () => gateway.calls.length === 2);
  const stopped = gateway.listeners.stop(200);
  finished.resolve();
  expect(await finishing).toMatchObject({ status: 200, body: '"pong"' });
  expect(await hanging).toMatchObject({ status: 503 });
  await stopped;
  await expect(gateway.ask('/healthz')).rejects.toMatchObject({ code: 'ENOENT' });
});

// Root has every right, whatever the configuration says: for it
// tests/unit/operations/dispatcher.test.ts has the rule.
it.runIf(OWN_UID !== 0)('the rest of an answer does not leave after its right was taken away', async () => {
  const nobody = { uids: new Set<number>(), gids: new Set<number>() };
  const granting = (uids: Set<number>): AccessGrants => ({
    ownUid: OWN_UID + 1,
    grants: [{ rights: ['see', 'use'], ...nobody, uids }],
    organizations: new Map(),
  });
  let grants = granting(new Set([OWN_UID]));
  const { promise: mayGoOn, resolve: goOn } = Promise.withResolvers<void>();
  await using gateway = await startTestGateway({
    gate: new Gate({
      grants: () => grants,
      limits: new UserLimits(WIDE_LIMITS, systemClock),
      onRejected: () => {},
    }),
    forward: async (_request, sink) => {
      sink.head(200, {});
      void sink.write(Buffer.from('first'));
      await mayGoOn;
      try {
        void sink.write(Buffer.from('second'));
      } catch (error) {
        if (error instanceof AipassError) return { kind: 'failed', error, begun: true, isRepeated: false };
      }
      await sink.end(NOTHING);
      return ANSWERED;
    },
  });
  const answer = await begin(gateway, '/local/v1/x');
  let received = '';
  answer.on('data', (chunk: Buffer) => (received += chunk.toString()));
  answer.on('error', () => {});
  await until('the first part is there', () => received === 'first');
  grants = granting(new Set());
  goOn();
  await until('the answer is broken off', () => answer.closed);
  expect({ received, complete: answer.complete }).toEqual({ received: 'first', complete: false });
});

it('the first bytes of an answer leave at once, whatever its writer does next', async () => {
  let read = '';
  const forward: Forward = async (_request, sink) => {
    sink.head(200, { 'content-type': 'text/event-stream' });
    void sink.write(Buffer.from('first'));
    const bytes = Buffer.alloc(4096);
    read = bytes.toString('latin1', 0, readSync(socketDescriptor(client), bytes));
    await sink.end(Buffer.from('last'));
    return ANSWERED;
  };
  await using gateway = await startTestGateway({ forward });
  const client = gateway.connect();
  const rest = readAll(client);
  client.end('GET /local/v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  expect(await rest).toContain('last');
  expect(read).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*first/);
});
