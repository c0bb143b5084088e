/**
 * What one would write by hand for this one job. It is newline-delimited JSON, with replies to one
 * chunk joined into one write, and an unfinished line kept as chunks.
 */

import { createServer } from 'node:net';

const keys = new Map([['openrouter', { keyId: 'OPENROUTER_API_KEY', key: process.argv[3] }]]);

interface Request {
  readonly id: number;
  readonly op: string;
  readonly params: { readonly provider: string };
}

createServer((socket) => {
  let chunks: string[] = [];
  socket.setEncoding('utf8');
  socket.on('error', () => {});
  socket.on('data', (chunk: string) => {
    let replies = '';
    let start = 0;
    for (let end = chunk.indexOf('\n'); end !== -1; end = chunk.indexOf('\n', start)) {
      chunks.push(chunk.slice(start, end));
      const { id, op, params }: Request = JSON.parse(chunks.join(''));
      chunks = [];
      start = end + 1;
      const found = op === 'key.get' ? keys.get(params.provider) : undefined;
      replies += `${JSON.stringify(found ? { id, result: { provider: params.provider, ...found } } : { id, error: { code: 'NOT_FOUND', message: 'no such key' } })}\n`;
    }
    if (start < chunk.length) chunks.push(chunk.slice(start));
    if (replies !== '') socket.write(replies);
  });
}).listen(process.argv[2], () => console.log('ready'));
process.once('SIGTERM', () => process.exit(0));
