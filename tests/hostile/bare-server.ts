/**
 * The server to compare with: JSON frames over a Unix socket and nothing else, in a process of its
 * own. It knows no rights, limits or turns, and drops a connection that sends what it cannot read.
 *
 * Beside it in the same process: node:http, which reads whatever comes and answers "ok", on
 * SOCKET.http.
 *
 * `node tests/hostile/bare-server.ts SOCKET` prints a line when it listens.
 */

import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';
import { frame, FRAME_END } from './wire.ts';

const [path = ''] = process.argv.slice(2);

const server = createServer((socket) => {
  let rest = '';
  socket.setEncoding('utf8');
  socket.on('error', () => {});
  socket.on('data', (chunk: string) => {
    const frames = (rest + chunk).split(FRAME_END);
    rest = frames.pop() ?? '';
    try {
      for (const one of frames) socket.write(answer(JSON.parse(one)));
    } catch {
      socket.destroy();
    }
  });
});
const http = createHttpServer((request, response) => {
  request.resume().once('end', () => response.end('ok'));
});
http.on('clientError', (_error, socket) => socket.destroy());
http.listen({ path: `${path}.http`, backlog: 511 }, () => {
  server.listen({ path, backlog: 511 }, () => process.stdout.write('listening\n'));
});

function answer(message: unknown): string {
  const { type, data } = Object(message);
  if (type === 'hello') return frame('welcome', { protocol: 1, version: 'bare', pid: process.pid });
  return frame('reply', { id: Object(data).id, result: { provider: 'p', keyId: 'k', key: 'x'.repeat(73) } });
}
