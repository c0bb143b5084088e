import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { expect, it } from 'vitest';
import { HttpAsker } from '../../../bench/http-asker.ts';
import { start } from '../../../bench/programs.ts';
import { portOf } from '../../support/port-of.ts';

const REQUEST = 'GET / HTTP/1.1\r\nhost: x\r\n\r\n';

async function ask(serve: RequestListener): Promise<unknown> {
  const server = createServer(serve).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const asker = await HttpAsker.open({ host: '127.0.0.1', port: portOf(server) });
  try {
    return await asker.ask(REQUEST);
  } finally {
    asker.close();
    server.close();
  }
}

it('a server that fails while it is measured is a failed request, and no end of the program', async () => {
  await expect(ask((_request, response) => response.writeHead(500).end('broken'))).rejects.toThrow('HTTP/1.1 500');
  await expect(ask((request) => request.socket.destroy())).rejects.toThrow('closed');
  expect(await ask((_request, response) => response.end('ok'))).toMatchObject({ whole: expect.any(Number) });
});

it('a measured program that ended by itself can be stopped, and one that ends before it is ready is told', async () => {
  const code = 'console.log("ready"); setTimeout(() => process.exit(3), 10);';
  const running = await start(['-e', code], { word: 'ready' });
  await running.stop();
  await running.stop();
  await expect(start(['-e', 'process.exit(4)'], { word: 'ready' })).rejects.toThrow('ended with 4');
});
