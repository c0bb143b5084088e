/**
 * What hostile, broken and unlucky clients do to a socket. Each attack lasts a few seconds, tidies
 * up after itself, and says in a few words what the daemon did.
 */

import type { Socket } from 'node:net';
import { FRAME_END, HELLO, closedWithin, connectTo, frame, pause, write } from './wire.ts';

/** What an attack works with: the socket, and a request that the daemon answers. */
export interface Target {
  readonly socket: string;
  readonly op: string;
  readonly params: unknown;
  /** Path of the HTTP gateway's socket, where that is attacked, too. */
  readonly gateway?: string;
}

/** One attack. */
export interface Attack {
  readonly name: string;
  run(target: Target): Promise<string>;
}

const closedText = (closed: number, all: number): string => `closed ${closed} of ${all}`;

/** Opens many connections, a few hundred at a time, because a listening socket's queue is short. */
async function connectMany(path: string, count: number): Promise<Socket[]> {
  const sockets: Socket[] = [];
  while (sockets.length < count) {
    const batch = Array.from({ length: Math.min(200, count - sockets.length) }, () => connectTo(path));
    sockets.push(...(await Promise.all(batch)));
  }
  return sockets;
}

async function withConnections(
  path: string,
  count: number,
  act: (sockets: readonly Socket[]) => Promise<string>,
): Promise<string> {
  const sockets = await connectMany(path, count);
  try {
    return await act(sockets);
  } finally {
    for (const socket of sockets) socket.destroy();
  }
}

/** How long an attack that is over at once is repeated, so that it is felt. */
const LASTING_MS = 4000;

/**
 * Sends one text on a fresh connection, again and again, and reports whether the daemon ended the
 * last one.
 */
function sendOnce(name: string, text: (target: Target) => string | Buffer, waitMs = 300): Attack {
  return {
    name,
    async run(target) {
      const payload = text(target);
      const until = performance.now() + LASTING_MS;
      for (let times = 1; ; times += 1) {
        const effect = await withConnections(target.socket, 1, ([socket]) => sendAndWatch(socket, payload, waitMs));
        if (performance.now() > until) return `${effect} (${times} times)`;
      }
    },
  };
}

async function sendAndWatch(socket: Socket | undefined, payload: string | Buffer, waitMs: number): Promise<string> {
  if (!socket) return 'not let in';
  let answer = '';
  socket.on('data', (chunk: Buffer) => {
    if (answer.length < 65_536) answer += chunk.toString('latin1');
  });
  await Promise.race([write(socket, payload), closedWithin(socket, 10_000)]);
  const closed = await closedWithin(socket, waitMs);
  const code = /"code":"([A-Z_]+)"/.exec(answer)?.[1];
  return `${code === undefined ? 'no error' : code}, ${closed ? 'closed' : 'kept open'}`;
}

const CHUNKED_POST = 'POST /openrouter/v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n';

/** An attack on the HTTP gateway, where the target has one. */
function overHttp(name: string, run: (gateway: string) => Promise<string>): Attack {
  return { name, run: ({ gateway }) => (gateway === undefined ? Promise.resolve('no gateway') : run(gateway)) };
}

/** Sends one text to the gateway, again and again, and reports the last answer. */
async function sendHttp(gateway: string, text: string): Promise<string> {
  const until = performance.now() + LASTING_MS;
  for (let times = 1; ; times += 1) {
    const effect = await withConnections(gateway, 1, async ([socket]) => {
      if (!socket) return 'not let in';
      let answer = '';
      socket.on('data', (chunk: Buffer) => {
        if (answer.length < 65_536) answer += chunk.toString('latin1');
      });
      await Promise.race([write(socket, Buffer.from(text)), closedWithin(socket, 10_000)]);
      const closed = await closedWithin(socket, 300);
      return `${/^HTTP\/1\.1 \d+/.exec(answer)?.[0] ?? 'no answer'}, ${closed ? 'closed' : 'kept open'}`;
    });
    if (performance.now() > until) return `${effect} (${times} times)`;
  }
}

/** Lists names that mean something to JavaScript, to event emitters or to node-ipc. */
const RESERVED = [
  'error',
  'connect',
  'disconnect',
  'close',
  'data',
  'end',
  'drain',
  'start',
  'socket.disconnected',
  'destroy',
  'newListener',
  'removeListener',
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  'then',
  '',
  '*',
];

/** Returns what could be the beginning of a key behind its `s`. */
function guess(at: number): string {
  return `k-or-v1-${at.toString(16).padStart(8, 'a')}`;
}

/** Provider of the attacked daemon whose only key may have one call in flight. */
export const SCARCE_PROVIDER = 'scarce';

function toRecord(params: unknown): Record<string, unknown> {
  return typeof params === 'object' && params !== null ? { ...params } : {};
}

/** Lists every attack. */
export const ATTACKS: readonly Attack[] = [
  {
    name: 'half a frame',
    run: ({ socket }) =>
      withConnections(socket, 50, async (sockets) => {
        await Promise.all(sockets.map((one) => write(one, HELLO + '{"type":"request","data":{"id":1,"op":')));
        const closed = await Promise.all(sockets.map((one) => (one.resume(), closedWithin(one, 13_000))));
        return closedText(closed.filter(Boolean).length, sockets.length);
      }),
  },
  {
    name: 'one byte a second',
    run: ({ socket, op, params }) =>
      withConnections(socket, 50, async (sockets) => {
        const text = HELLO + frame('request', { id: 1, op, params });
        let closed = 0;
        for (const one of sockets) one.resume().once('close', () => (closed += 1));
        for (let at = 0; at < 13 && closed < sockets.length; at += 1) {
          for (const one of sockets) void write(one, text.charAt(at));
          await pause(1000);
        }
        return closedText(closed, sockets.length);
      }),
  },
  {
    name: 'silence',
    run: ({ socket }) =>
      withConnections(socket, 200, async (sockets) => {
        for (const one of sockets) one.resume();
        // Without a hello a connection lasts some seconds.
        await pause(8000);
        return closedText(sockets.filter((one) => one.destroyed).length, sockets.length);
      }),
  },
  {
    name: 'guesses at parts of secrets',
    run: ({ socket }) =>
      withConnections(socket, 20, async (sockets) => {
        let answers = 0;
        for (const one of sockets) {
          one.on('data', (chunk: Buffer) => (answers += chunk.toString('latin1').split(FRAME_END).length - 1));
          const guesses = Array.from({ length: 2000 }, (_, id) =>
            frame('request', { id, op: 'pool.explain', params: { provider: guess(id), model: guess(id) } }),
          );
          void write(one, HELLO + guesses.join(''));
        }
        await pause(4000);
        return `${answers} answers`;
      }),
  },
  {
    name: 'subscriptions and leases without end',
    run: ({ socket, params }) =>
      withConnections(socket, 1000, async (sockets) => {
        let answers = 0;
        for (const [at, one] of sockets.entries()) {
          one.on('data', (chunk: Buffer) => (answers += chunk.toString('latin1').split(FRAME_END).length - 1));
          const wishes = Array.from({ length: 20 }, (_, id) => [
            frame('request', { id: `s${id}`, op: 'event.subscribe', params: {} }),
            frame('request', { id: `l${id}`, op: 'pool.lease', params: toRecord(params) }),
          ]);
          void write(one, HELLO + wishes.flat().join(''));
          if (at % 100 === 99) await pause(10);
        }
        await pause(4000);
        // Half of them vanish with what they hold.
        for (const one of sockets.slice(0, 500)) one.destroy();
        await pause(1000);
        return `${answers} answers, ${closedText(sockets.slice(500).filter((one) => one.destroyed).length, 500)}`;
      }),
  },
  {
    name: 'waiting for keys without end',
    run: ({ socket }) =>
      withConnections(socket, 100, async (sockets) => {
        for (const [at, one] of sockets.entries()) {
          one.resume();
          // One key may have one call in flight; each request is for a model of its own, each
          // connection a program of its own.
          const wishes = Array.from({ length: 150 }, (_, id) =>
            frame('request', {
              id,
              op: 'pool.lease',
              params: { provider: SCARCE_PROVIDER, model: `m-${at}-${id}`, maxWaitMs: 60_000 },
            }),
          );
          void write(one, frame('hello', { protocol: 1, client: 'hostile/1', caller: `p-${at}` }) + wishes.join(''));
        }
        await pause(4000);
        return closedText(sockets.filter((one) => one.destroyed).length, sockets.length);
      }),
  },
  sendOnce('a name of a megabyte', () => frame('hello', { protocol: 1, caller: 'x'.repeat(1_000_000) })),
  sendOnce('garbage', () => Buffer.from(Array.from({ length: 1_000_000 }, (_, at) => (at * 7919) & 0xff))),
  sendOnce('garbage that ends', () => `not json${FRAME_END}`.repeat(1000)),
  sendOnce('64 MB in one frame', ({ op }) =>
    Buffer.from(
      `${HELLO}{"type":"request","data":{"id":1,"op":"${op}","params":{"x":"${'x'.repeat(64 * 1024 * 1024)}"}}}${FRAME_END}`,
    ),
  ),
  sendOnce(
    'JSON a million deep',
    ({ op }) =>
      `${HELLO}{"type":"request","data":{"id":1,"op":"${op}","params":${'['.repeat(1_000_000)}${']'.repeat(1_000_000)}}}${FRAME_END}`,
  ),
  sendOnce('__proto__ everywhere', ({ op }) =>
    [
      HELLO,
      `{"type":"request","__proto__":{"polluted":1},"data":{"id":1,"op":"${op}","params":{"__proto__":{"polluted":1}}}}${FRAME_END}`,
      `{"type":"request","data":{"__proto__":{"id":2,"op":"${op}"},"constructor":{"prototype":{"polluted":1}}}}${FRAME_END}`,
      frame('request', { id: '__proto__', op: '__proto__', params: {} }),
      frame('request', { id: 'constructor', op: 'constructor', params: {} }),
    ].join(''),
  ),
  sendOnce('reserved event names', () =>
    [
      HELLO,
      ...RESERVED.flatMap((name) => [frame(name, {}), frame(name, null), frame([name], name)]),
      frame(7, 7),
      frame(null, null),
    ].join(''),
  ),
  {
    name: '2,000 idle connections',
    run: ({ socket }) =>
      withConnections(socket, 2000, async (sockets) => {
        for (const one of sockets) void write(one, HELLO);
        await pause(3000);
        return `${sockets.filter((one) => !one.destroyed).length} held`;
      }),
  },
  {
    name: 'connect and vanish, 10,000 times',
    run: async ({ socket }) => {
      for (let round = 0; round < 100; round += 1) {
        for (const one of await connectMany(socket, 100)) {
          if (round % 2 === 0) one.write(HELLO);
          one.destroy();
        }
      }
      return 'done';
    },
  },
  {
    name: 'replies that are never read',
    run: ({ socket, op, params }) =>
      withConnections(socket, 20, async (sockets) => {
        for (const one of sockets) {
          one.pause();
          const batch = Array.from({ length: 20_000 }, (_, id) => frame('request', { id, op, params })).join('');
          void write(one, HELLO + batch);
        }
        await pause(4000);
        return `${sockets.filter((one) => one.writableLength > 0).length} of ${sockets.length} held back`;
      }),
  },
  {
    name: 'the same id again and again',
    run: ({ socket, op, params }) =>
      withConnections(socket, 1, async ([one]) => {
        if (!one) return 'not let in';
        let replies = 0;
        one.on('data', (chunk: Buffer) => (replies += chunk.toString('latin1').split(FRAME_END).length - 1));
        await write(one, HELLO + frame('request', { id: 1, op, params }).repeat(5000));
        await pause(2000);
        return `${replies - 1} answers to 5000`;
      }),
  },
  {
    name: 'a storm of cancels',
    run: ({ socket, op, params }) =>
      withConnections(socket, 5, async (sockets) => {
        for (const one of sockets) {
          one.resume();
          const storm = Array.from(
            { length: 10_000 },
            (_, id) => frame('request', { id, op, params }) + frame('cancel', { id }) + frame('cancel', { id: -id }),
          );
          void write(one, HELLO + storm.join(''));
        }
        await pause(4000);
        return closedText(sockets.filter((one) => one.destroyed).length, sockets.length);
      }),
  },
  {
    name: '100,000 requests in one go, none read',
    run: ({ socket, op, params }) =>
      withConnections(socket, 1, async ([one]) => {
        if (!one) return 'not let in';
        one.pause();
        const batch = Array.from({ length: 100_000 }, (_, id) => frame('request', { id, op, params })).join('');
        void write(one, HELLO + batch);
        await pause(5000);
        return one.destroyed ? 'closed' : `${Math.round(one.writableLength / 1024)} kB held back`;
      }),
  },
  overHttp('HTTP: half a request', (gateway) =>
    withConnections(gateway, 200, async (sockets) => {
      for (const one of sockets)
        void write(one.resume(), 'POST /openrouter/v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-');
      await pause(3000);
      return closedText(sockets.filter((one) => one.destroyed).length, sockets.length);
    }),
  ),
  overHttp('HTTP: a megabyte of headers', (gateway) =>
    sendHttp(gateway, `GET / HTTP/1.1\r\nX: ${'a'.repeat(2 ** 20)}\r\n\r\n`),
  ),
  overHttp('HTTP: a body of 64 MB', (gateway) =>
    sendHttp(gateway, `${CHUNKED_POST}${`100000\r\n${'a'.repeat(2 ** 20)}\r\n`.repeat(64)}`),
  ),
  overHttp('HTTP: a body that never ends', (gateway) =>
    withConnections(gateway, 50, async (sockets) => {
      for (const one of sockets) void write(one.resume(), CHUNKED_POST);
      for (let second = 0; second < 4; second += 1) {
        for (const one of sockets) void write(one, '1\r\na\r\n');
        await pause(1000);
      }
      return closedText(sockets.filter((one) => one.destroyed).length, sockets.length);
    }),
  ),
  overHttp('HTTP: 2,000 idle connections', (gateway) =>
    withConnections(gateway, 2000, async (sockets) => {
      await pause(3000);
      return `${sockets.filter((one) => !one.destroyed).length} held`;
    }),
  ),
  overHttp('HTTP: connect and vanish, 10,000 times', async (gateway) => {
    for (let round = 0; round < 100; round += 1) {
      for (const one of await connectMany(gateway, 100)) {
        if (round % 2 === 0) one.write(CHUNKED_POST);
        one.destroy();
      }
    }
    return 'done';
  }),
  overHttp('HTTP: answers that are never read', (gateway) =>
    withConnections(gateway, 20, async (sockets) => {
      for (const one of sockets) {
        one.pause();
        void write(one, 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(20_000));
      }
      await pause(4000);
      return `${sockets.filter((one) => one.writableLength > 0).length} of ${sockets.length} held back`;
    }),
  ),
  overHttp('HTTP: upgrades, proxies and web pages', (gateway) =>
    sendHttp(
      gateway,
      'GET /v1/x HTTP/1.1\r\nHost: x\r\nOrigin: http://evil.example\r\n\r\n'.repeat(100) +
        'CONNECT evil.example:443 HTTP/1.1\r\nHost: x\r\n\r\n',
    ),
  ),
  overHttp('HTTP: garbage without an end behind a request', (gateway) =>
    withConnections(gateway, 20, async (sockets) => {
      const garbage = Buffer.alloc(64 * 2 ** 20, 'z');
      const head = 'POST /openrouter/v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}';
      for (const one of sockets) {
        void write(one.resume(), head);
        void write(one, garbage);
      }
      await pause(4000);
      return closedText(sockets.filter((one) => one.destroyed).length, sockets.length);
    }),
  ),
  overHttp('HTTP: pipelined without an end', (gateway) =>
    withConnections(gateway, 20, async (sockets) => {
      let bytes = 0;
      for (const one of sockets) {
        one.on('data', (chunk: Buffer) => (bytes += chunk.length));
        void write(one, 'GET /nobody/x HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(20_000));
      }
      await pause(4000);
      return `${Math.round(bytes / 1024)} kB of answers, ${closedText(sockets.filter((one) => one.destroyed).length, 20)}`;
    }),
  ),
  overHttp('HTTP: a body in chunks of one byte', (gateway) =>
    withConnections(gateway, 20, async (sockets) => {
      for (const one of sockets) void write(one.resume(), CHUNKED_POST + '1\r\na\r\n'.repeat(500_000));
      await pause(4000);
      return closedText(sockets.filter((one) => one.destroyed).length, sockets.length);
    }),
  ),
];
