import { once } from 'node:events';
import { connect as connectSocket } from 'node:net';
import { expect, it } from 'vitest';
import { chunkOf } from '../support/loopback-provider.ts';
import { Program } from '../support/run-program.ts';
import { until } from '../support/until.ts';
import { LOCAL_KEY, createTestDaemon } from '../support/test-daemon.ts';

const MEGABYTE = 1024 * 1024;
const MESSAGES = [{ role: 'user', content: 'go on' }];

it('a streamed answer of more than 64 MiB fails its own call with what to do, and no other', async () => {
  await using running = await createTestDaemon();
  const piece = 'x'.repeat(13 * MEGABYTE);
  running.provider.queue({
    kind: 'events',
    events: [...Array.from({ length: 5 }, () => chunkOf({ content: piece })), chunkOf({}, 'stop')],
  });
  const aipass = await running.connect();
  const stream = aipass.stream({ model: 'm', messages: MESSAGES });
  await running.provider.nextRequest();
  running.provider.answerWith({ kind: 'paced' });
  const other = aipass.stream({ model: 'm', messages: MESSAGES });
  const request = await running.provider.nextRequest();
  await expect(stream.result).rejects.toMatchObject({
    code: 'BAD_REQUEST',
    message: expect.stringContaining('longer than the limit'),
    hint: expect.stringContaining('max_tokens'),
  });
  await request.stream.push(chunkOf({ content: 'still here' }, 'stop'));
  await request.stream.done();
  expect((await other.result).content).toBe('still here');
  expect(await aipass.key('local')).toBe(LOCAL_KEY);
});

/** Answers every request with a chat of so many megabytes. */
const LARGE_PROVIDER = `
  const piece = Buffer.alloc(65536, 120);
  require('node:http').createServer((request, response) => {
    request.resume().on('end', () => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.write('{"id":"x","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"');
      let left = Number(process.argv[1]) * 16;
      const send = () => {
        while (left > 0) {
          left -= 1;
          if (!response.write(piece)) return void response.once('drain', send);
        }
        response.end('"},"finish_reason":"stop"}],"usage":{"total_tokens":3}}');
      };
      send();
    });
  }).listen(0, '127.0.0.1', function () { console.log(this.address().port); });`;

/**
 * Asks for so many completions at once over a socket, counts their bytes, and says when all are
 * there.
 */
const LARGE_READER = `
  const [, path, count] = process.argv;
  let bytes = 0, left = Number(count);
  const frame = (type, data) => JSON.stringify({ type, data }) + '\\f';
  const params = { provider: 'large', model: 'm', messages: [{ role: 'user', content: 'x' }] };
  for (let index = 0; index < Number(count); index += 1) {
    const socket = require('node:net').connect(path);
    socket.write(frame('hello', { protocol: 1, client: 'reader/1' }) + frame('request', { id: 1, op: 'completion.create', params }));
    let own = 0;
    socket.on('data', (chunk) => {
      own += chunk.length;
      bytes += chunk.length;
      if (own < 1000000 || chunk[chunk.length - 1] !== 12) return;
      left -= 1;
      socket.end();
      if (left === 0) console.log('all', bytes);
    });
  }`;

/** Sends back what it gets. */
const ECHO = `
  require('node:net').createServer((socket) => socket.on('error', () => {}).pipe(socket))
    .listen(0, '127.0.0.1', function () { console.log(this.address().port); });`;

it('answers of many megabytes hold up nobody who asks for a key meanwhile', async () => {
  await using large = new Program(process.execPath, ['-e', LARGE_PROVIDER, '40']);
  await using echo = new Program(process.execPath, ['-e', ECHO]);
  const largePort = Number(await firstLine(large));
  const echoPort = Number(await firstLine(echo));
  await using running = await createTestDaemon({
    providers: { large: { baseUrl: `http://127.0.0.1:${largePort}/v1`, needsKey: false } },
    defaultProvider: 'large',
  });
  const aipass = await running.connect();
  const socket = connectSocket(echoPort, '127.0.0.1');
  const echoOnce = (): Promise<unknown> => {
    const answered = once(socket, 'data');
    socket.write('x');
    return answered;
  };
  await echoOnce();
  await aipass.key('openrouter');

  await using reader = new Program(process.execPath, ['-e', LARGE_READER, running.home.paths.socket, '6']);
  const times: { readonly ours: number[]; readonly echo: number[] } = { ours: [], echo: [] };
  while (!reader.stdout.includes('\n')) {
    const at = performance.now();
    await aipass.key('openrouter');
    const between = performance.now();
    await echoOnce();
    times.ours.push(between - at);
    times.echo.push(performance.now() - between);
  }
  socket.destroy();
  expect(Number(reader.stdout.split(' ')[1])).toBeGreaterThan(6 * 40 * MEGABYTE);
  // A busy machine holds up both; what the daemon adds is less than 50 ms.
  expect(times.ours.length).toBeGreaterThan(50);
  expect(percentile(times.ours, 0.99)).toBeLessThan(50 + 3 * percentile(times.echo, 0.99));
});

async function firstLine(program: Program): Promise<string> {
  return await until('a first line', () => program.stdout.split('\n', 2)[1] !== undefined && program.stdout);
}

function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}
