/**
 * A provider that answers at once: a chat of 642 bytes, or 22 events where a stream is asked for.
 * Listens on a free port of 127.0.0.1, which is the number after "ready".
 */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

const WHOLE = Buffer.from(
  JSON.stringify({
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 1,
    model: 'bench',
    choices: [{ index: 0, message: { role: 'assistant', content: 'x'.repeat(400) }, finish_reason: 'stop' }],
    usage: { prompt_tokens: 11, completion_tokens: 5, total_tokens: 16 },
  }).padEnd(642),
);

const event = (data: unknown): string => `data: ${JSON.stringify(data)}\n\n`;
const chunk = (delta: object, reason: string | null = null): string =>
  event({ id: 'chatcmpl-1', model: 'bench', choices: [{ index: 0, delta, finish_reason: reason }] });
const EVENTS = [
  ...Array.from({ length: 20 }, () => chunk({ content: 'token ' })),
  chunk({}, 'stop'),
  event({ id: 'chatcmpl-1', choices: [], usage: { prompt_tokens: 11, completion_tokens: 20, total_tokens: 31 } }),
];

const server = createServer((request, response) => {
  const body: Buffer[] = [];
  request.on('data', (piece: Buffer) => body.push(piece));
  request.on('end', () => {
    if (!Buffer.concat(body).includes('"stream":true')) {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': WHOLE.length }).end(WHOLE);
      return;
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const text of EVENTS) response.write(text);
    response.end('data: [DONE]\n\n');
  });
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => {
  const address: AddressInfo | string | null = server.address();
  console.log(`ready ${typeof address === 'object' ? address?.port : ''}`);
});
process.once('SIGTERM', () => process.exit(0));
