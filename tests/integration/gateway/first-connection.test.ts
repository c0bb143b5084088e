import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { makeTempHome } from '../../support/temp-home.ts';
import { readAll, startTestGateway } from '../../support/test-gateway.ts';

const source = (path: string): string => JSON.stringify(new URL(`../../../src/${path}`, import.meta.url));

/** Program with one endpoint, which prints whether node:http was loaded after each step. */
const STEPS = (path: string): string => `
  import { createConnection } from 'node:net';
  const { HttpEndpoint } = await import(${source('gateway/http-endpoint.ts')});
  const { AipassError } = await import(${source('base/errors.ts')});
  const isLoaded = () => process.moduleLoadList.includes('NativeModule http');
  const path = ${JSON.stringify(path)};
  const ask = () => new Promise((resolve, reject) => {
    let text = '';
    const socket = createConnection({ path }, () => {
      socket.end('GET / HTTP/1.1\\r\\nhost: localhost\\r\\nconnection: close\\r\\n\\r\\n');
    });
    socket.on('data', (chunk) => { text += chunk; }).on('error', reject).on('close', () => resolve(text.split('\\r\\n')[0]));
  });
  let isStranger = true;
  const endpoint = new HttpEndpoint({
    onConnection: () => { if (isStranger) throw new AipassError('FORBIDDEN', 'not yours'); },
    onClose: () => {},
    handle: async ({ response }) => { response.end('pong'); },
    logger: { debug() {}, error() {} },
  });
  await endpoint.listen({ path });
  const listening = isLoaded();
  const refused = await ask();
  const afterRefusal = isLoaded();
  isStranger = false;
  const answered = await ask();
  await endpoint.stop(0);
  console.log([listening, refused, afterRefusal, answered, isLoaded()].join('\\n'));
`;

describe('the first connection', () => {
  it('loads node:http, unless its peer is refused', async () => {
    await using home = makeTempHome();
    await home.makeRuntime();
    const program = STEPS(join(home.paths.runtime, 'one.sock'));
    const printed = execFileSync(process.execPath, ['--input-type=module', '--eval', program], { encoding: 'utf8' });
    const [listening, refused, afterRefusal, answered, afterAnswer] = printed.trimEnd().split('\n');
    expect({ listening, afterRefusal, afterAnswer }).toEqual({
      listening: 'false',
      afterRefusal: 'false',
      afterAnswer: 'true',
    });
    expect({ refused, answered }).toEqual({
      refused: 'HTTP/1.1 403 Forbidden',
      answered: 'HTTP/1.1 200 OK',
    });
  });

  it('is one of many at once, each of which gets its answer', async () => {
    await using gateway = await startTestGateway();
    const answers = Array.from({ length: 50 }, () => {
      const socket = gateway.connect();
      socket.write('GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n');
      return readAll(socket);
    });
    for (const answer of await Promise.all(answers)) expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  });

  it('may never come: a stop before it ends at once', async () => {
    await using gateway = await startTestGateway();
    await gateway.listeners.stop(60_000);
    await expect(gateway.ask('/healthz')).rejects.toThrow(/ENOENT|ECONNREFUSED/);
  });

  it('is closed by a stop that comes with it', async () => {
    await using gateway = await startTestGateway();
    const socket = gateway.connect();
    const read = readAll(socket);
    await once(socket, 'connect');
    await gateway.listeners.stop(60_000);
    expect(await read).toBe('');
  });

  it('goes on when the socket is made anew', async () => {
    await using gateway = await startTestGateway();
    const socket = gateway.connect();
    const read = readAll(socket);
    socket.write('GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n');
    await once(socket, 'data');
    await gateway.listeners.restart();
    socket.write('GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n');
    expect((await read).match(/HTTP\/1\.1 200 OK/g)).toHaveLength(2);
  });
});
