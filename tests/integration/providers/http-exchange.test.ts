import { createServer, type LookupFunction, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { gzipSync } from 'node:zlib';
import { systemClock, type Clock } from '../../../src/base/clock.ts';
import { openNetwork } from '../../../src/base/network.ts';
import { readBytes } from '../../../src/providers/http.ts';
import { ExchangeFailure, openExchange, type HttpAnswer } from '../../../src/providers/http-exchange.ts';
import { startLoopbackProvider } from '../../support/loopback-provider.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { portOf } from '../../support/port-of.ts';
import { until } from '../../support/until.ts';

async function readAll(answer: HttpAnswer): Promise<string> {
  return (await readBytes(answer, 16 * 1024 * 1024, 60_000)).toString();
}

const LIMITS = { waitMs: 10_000, maxBytes: 1024 * 1024 };

function open(
  url: string,
  options: {
    signal?: AbortSignal;
    limits?: Partial<typeof LIMITS>;
    headers?: Record<string, string>;
    clock?: Clock;
    lookup?: LookupFunction;
  } = {},
): Promise<HttpAnswer> {
  return openExchange(
    { method: 'POST', url, headers: options.headers ?? {}, body: '{}', lookup: options.lookup },
    { ...LIMITS, ...options.limits },
    { clock: options.clock ?? systemClock, signal: options.signal ?? new AbortController().signal },
  );
}

async function failureOf(work: Promise<unknown>): Promise<ExchangeFailure> {
  try {
    await work;
  } catch (error) {
    if (error instanceof ExchangeFailure) return error;
    throw error;
  }
  throw new Error('the exchange did not fail');
}

/** Starts a server that answers every connection with the same bytes. */
async function serveBytes(bytes: string | Uint8Array): Promise<AsyncDisposable & { readonly url: string }> {
  const server: Server = createServer((socket) => {
    socket.on('error', () => {});
    socket.resume().end(bytes);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  return {
    url: `http://127.0.0.1:${port}/`,
    async [Symbol.asyncDispose]() {
      server.close();
      await once(server, 'close');
    },
  };
}

/** Starts a server that answers every request with the same bytes and keeps its connections. */
async function serveRequests(
  bytes: string,
): Promise<AsyncDisposable & { readonly url: string; readonly connections: () => number }> {
  let connections = 0;
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('data', () => socket.write(bytes));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  return {
    url: `http://127.0.0.1:${port}/`,
    connections: () => connections,
    async [Symbol.asyncDispose]() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}

describe('an exchange', () => {
  test('returns status, headers in lower case without cookies, and the body', async () => {
    await using upstream = await startLoopbackProvider({
      reply: { kind: 'json', status: 418, body: { a: 1 }, headers: { 'X-One': '1', 'Set-Cookie': 'x=1' } },
    });
    const answer = await open(`${upstream.baseUrl}/chat/completions`);
    expect(answer.status).toBe(418);
    expect(answer.headers).toMatchObject({ 'x-one': '1', 'content-type': 'application/json' });
    expect(answer.headers).not.toHaveProperty('set-cookie');
    expect(await readAll(answer)).toBe('{"a":1}');
  });

  test('uses its connection again', async () => {
    await using upstream = await startLoopbackProvider();
    for (let round = 0; round < 5; round += 1) await readAll(await open(`${upstream.baseUrl}/chat/completions`));
    expect(upstream.connections()).toBe(1);
  });

  test('uses no connection again that holds bytes behind its answer', async () => {
    const answerText = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
    await using server = await serveRequests(`${answerText}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil`);
    for (let round = 0; round < 2; round += 1) expect(await readAll(await open(server.url))).toBe('ok');
    expect(server.connections()).toBe(2);
  });

  test('uses a connection again where its answer came in chunks', async () => {
    await using server = await serveRequests(
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
    );
    for (let round = 0; round < 3; round += 1) expect(await readAll(await open(server.url))).toBe('ok');
    expect(server.connections()).toBe(1);
  });

  test('reads what is held back before the end of its connection', async () => {
    await using server = await serveBytes('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd');
    const answer = await open(server.url);
    const { promise, resolve } = Promise.withResolvers<void>();
    const pieces: string[] = [];
    const reading = answer.each((chunk) => {
      pieces.push(chunk.toString());
      return promise;
    });
    await until('the bytes', () => pieces.length > 0);
    resolve();
    await reading;
    expect(pieces.join('')).toBe('abcd');
  });

  test('that is not read to its end is closed by close()', async () => {
    await using upstream = await startLoopbackProvider({ reply: { kind: 'paced' } });
    const answer = await open(`${upstream.baseUrl}/chat/completions`);
    const { closedByClient } = await upstream.nextRequest();
    answer.close();
    await closedByClient;
    expect((await failureOf(readAll(answer))).kind).toBe('aborted');
  });

  test('ends no sooner than whoever takes its bytes, though all of it has arrived', async () => {
    await using upstream = await startLoopbackProvider({ reply: { kind: 'text', body: 'all of it' } });
    const answer = await open(`${upstream.baseUrl}/chat/completions`);
    const order: string[] = [];
    let release: (() => void) | undefined;
    const reading = answer
      .each(
        () =>
          new Promise((resolve) => {
            release = () => {
              order.push('taken');
              resolve();
            };
          }),
      )
      .then(() => order.push('ended'));
    await until('the bytes', () => release !== undefined);
    // Another exchange on the same loop: the end of the first one has arrived by then.
    await readAll(await open(`${upstream.baseUrl}/chat/completions`));
    release?.();
    await reading;
    expect(order).toEqual(['taken', 'ended']);
  });

  test('of which nothing more is wanted resolves at once, and is closed where it does not end soon', async () => {
    await using upstream = await startLoopbackProvider({ reply: { kind: 'paced' } });
    const answer = await open(`${upstream.baseUrl}/chat/completions`);
    const { stream, closedByClient } = await upstream.nextRequest();
    await stream.raw('enough');
    let isDone = false;
    await answer.each(
      () => {
        isDone = true;
      },
      { isDone: () => isDone },
    );
    stream.raw('x'.repeat(4 * 1024 * 1024)).catch(() => {});
    await closedByClient;
  });

  test('is not begun with a signal that has aborted', async () => {
    await using upstream = await startLoopbackProvider();
    const failure = await failureOf(open(`${upstream.baseUrl}/chat/completions`, { signal: AbortSignal.abort() }));
    expect(failure.kind).toBe('aborted');
    expect(upstream.connections()).toBe(0);
  });

  test('is ended by its signal while it is read', async () => {
    await using upstream = await startLoopbackProvider({ reply: { kind: 'paced' } });
    const controller = new AbortController();
    const answer = await open(`${upstream.baseUrl}/chat/completions`, { signal: controller.signal });
    const failing = failureOf(readAll(answer));
    controller.abort();
    expect((await failing).kind).toBe('aborted');
    await (
      await upstream.nextRequest()
    ).closedByClient;
  });

  test('fails where the body is longer than it may be', async () => {
    await using upstream = await startLoopbackProvider({ reply: { kind: 'text', body: 'x'.repeat(2000) } });
    const answer = await open(`${upstream.baseUrl}/chat/completions`, { limits: { maxBytes: 1000 } });
    expect(await failureOf(readAll(answer))).toMatchObject({ kind: 'garbage', detail: 'more than 1000 bytes' });
    await until('the connection is closed', () => upstream.connections() === 0);
  });

  test('fails where a header cannot be sent, without quoting it', async () => {
    const failure = await failureOf(open('http://127.0.0.1:9/', { headers: { 'x-api-key': 'canary\nkey' } }));
    expect(failure.kind).toBe('unsendable');
    expect(`${failure.message} ${String(failure.cause)}`).not.toContain('canary');
  });

  test.each([
    ['is not HTTP', 'SSH-2.0-OpenSSH_9.2\r\n', 'garbage'],
    ['ends within its headers', 'HTTP/1.1 200 OK\r\nContent-Le', 'network'],
    ['ends before its length', 'HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort', 'network'],
    ['ends within a chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nshort', 'network'],
    ['has a length twice', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx', 'garbage'],
    ['has a line end inside a value', 'HTTP/1.1 200 OK\r\nX-A: a\r\r\nContent-Length: 0\r\n\r\n', 'garbage'],
    ['has a form feed before a value', 'HTTP/1.1 200 OK\r\nX-A:\f a\r\nContent-Length: 0\r\n\r\n', 'garbage'],
    ['is nothing', '', 'network'],
    ['switches protocols', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n', 'garbage'],
  ])('fails where the answer %s', async (_what, bytes, kind) => {
    await using server = await serveBytes(bytes);
    const failure = await failureOf(open(server.url).then((answer) => readAll(answer)));
    expect(failure.kind).toBe(kind);
  });

  test('keeps every byte of a header value but the blanks around it', async () => {
    await using server = await serveBytes(
      'HTTP/1.1 200 OK\r\nX-A: \t voil\u00c3\u00a0\t \r\nContent-Length: 0\r\n\r\n',
    );
    const answer = await open(server.url);
    expect(Buffer.from(answer.headers['x-a'] ?? '', 'latin1').toString()).toContain('voil');
    expect(answer.headers['x-a']).not.toMatch(/^[ \t]|[ \t]$/);
    await readAll(answer);
  });

  test('takes a body that ends with its connection', async () => {
    await using server = await serveBytes('HTTP/1.0 200 OK\r\n\r\nall of it');
    expect(await readAll(await open(server.url))).toBe('all of it');
  });
});

/** Starts a server that answers each first request of a connection, and hands over the others. */
async function serveOnce(
  onSecond: (socket: Socket) => void,
): Promise<AsyncDisposable & { readonly url: string; readonly requests: () => number }> {
  let requests = 0;
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    let own = 0;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      // The body may come behind its head.
      if (!bytes.toString('latin1').startsWith('POST ')) return;
      requests += 1;
      own += 1;
      if (own === 1) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      else onSecond(socket);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${portOf(server)}/`,
    requests: () => requests,
    async [Symbol.asyncDispose]() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}

test('a connection whose name was resolved without a guard serves no guarded request, nor the other way round', async () => {
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    socket.on('error', () => {});
    socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://localhost:${portOf(server)}/`;
  let lookups = 0;
  const lookup: LookupFunction = (_host, _options, callback) => {
    lookups += 1;
    callback(null, [{ address: '127.0.0.1', family: 4 }]);
  };
  const counts: number[][] = [];
  for (const guard of [undefined, lookup, undefined, lookup]) {
    expect(await readAll(await open(url, guard ? { lookup: guard } : {}))).toBe('ok');
    counts.push([connections, lookups]);
  }
  expect(counts).toEqual([
    [1, 0],
    [2, 1],
    [2, 1],
    [2, 1],
  ]);
  server.close();
});

describe.each([
  ['a connection of our own', {}],
  ['a connection of node:http', { HTTP_PROXY: 'http://127.0.0.1:9' }],
])('%s', (_what, env) => {
  // No request to loopback goes through a proxy.
  beforeEach(() => void openNetwork({}, { ...env }));
  afterEach(() => void openNetwork({}, {}));

  test('that was closed before it is used again costs nothing: the request is sent once more', async () => {
    const clock = new ManualClock();
    await using server = await serveOnce((socket) => socket.destroy());
    for (let round = 1; round <= 2; round += 1) expect(await readAll(await open(server.url, { clock }))).toBe('ok');
    expect(server.requests()).toBe(3);
  });

  test('that breaks long after a request was sent is broken: the request may be paid for, and is not sent twice', async () => {
    const clock = new ManualClock();
    await using server = await serveOnce((socket) => {
      clock.advance(60_000);
      socket.destroy();
    });
    const limits = { waitMs: 120_000 };
    expect(await readAll(await open(server.url, { clock, limits }))).toBe('ok');
    const failure = await failureOf(open(server.url, { clock, limits }));
    expect(failure).toMatchObject({ kind: 'network', detail: 'ECONNRESET' });
    expect(server.requests()).toBe(2);
  });

  test.each([
    ['an empty body', '200 OK\r\nContent-Length: 0\r\nContent-Encoding: gzip'],
    ['an empty body in no chunks', '200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: zstd', '0\r\n\r\n'],
    ['an empty body, packed twice', '200 OK\r\nContent-Length: 0\r\nContent-Encoding: deflate, gzip'],
    ['204', '204 No Content\r\nContent-Encoding: br'],
    ['304', '304 Not Modified\r\nContent-Encoding: br'],
  ])('takes %s that is announced as compressed', async (_case, head, body = '') => {
    await using server = await serveBytes(`HTTP/1.1 ${head}\r\n\r\n${body}`);
    expect(await readAll(await open(server.url))).toBe('');
  });

  test('fails where a body is packed more often than anybody does', async () => {
    const packings = Array.from({ length: 2000 }, () => 'gzip').join(',');
    await using server = await serveBytes(
      `HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Encoding: ${packings}\r\n\r\n`,
    );
    const failure = await failureOf(open(server.url));
    expect(failure).toMatchObject({ kind: 'garbage', detail: expect.stringContaining('too many times') });
  });

  test('fails where a whole body takes too long, though its bytes go on coming', async () => {
    const clock = new ManualClock();
    let sent: Socket | undefined;
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.resume().write('HTTP/1.1 400 Bad Request\r\nContent-Length: 1000\r\n\r\n');
      sent = socket;
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const answer = await open(`http://127.0.0.1:${portOf(server)}/`, { clock });
    let came = 0;
    const reading = readBytes(
      {
        ...answer,
        each: (take, options) =>
          answer.each((chunk) => {
            came += chunk.length;
            return take(chunk);
          }, options),
      },
      1000,
      3000,
    );
    const failing = failureOf(reading);
    for (let at = 1; at <= 4; at += 1) {
      sent?.write('x');
      await until('a byte came', () => came >= at || clock.waits.length === 0);
      clock.advance(1000);
    }
    expect(await failing).toMatchObject({ kind: 'timeout' });
    server.close();
  });

  test('fails where a compressed body is cut', async () => {
    const cut = gzipSync('hello').subarray(0, 5).toString('latin1');
    await using server = await serveBytes(
      Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Encoding: gzip\r\n\r\n${cut}`, 'latin1'),
    );
    const failure = await failureOf(open(server.url).then((answer) => readAll(answer)));
    expect(failure.kind).toBe('garbage');
  });
});
