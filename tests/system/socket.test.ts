import { spawn } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RawClient } from '../support/raw-client.ts';
import { runProgram } from '../support/run-program.ts';
import { LOCAL_KEY, createTestDaemon, type TestDaemon } from '../support/test-daemon.ts';

describe('the socket of a running daemon', () => {
  let shared: TestDaemon;
  beforeAll(async () => {
    shared = await createTestDaemon();
  });
  afterAll(() => shared[Symbol.asyncDispose]());

  it('serves the node-ipc client as it serves ours', async () => {
    await using running = await createTestDaemon();
    const script = `
      import ipc from 'node-ipc';
      ipc.default.config.silent = true;
      ipc.default.connectTo('aipassd', ${JSON.stringify(running.home.paths.socket)}, () => {
        const daemon = ipc.default.of.aipassd;
        daemon.on('connect', () => daemon.emit('hello', { protocol: 1, caller: 'node-ipc' }));
        daemon.on('welcome', () => daemon.emit('request', { id: 'a', op: 'key.get', params: { provider: 'local' } }));
        daemon.on('reply', ({ id, result }) => { console.log(id, result.key); ipc.default.disconnect('aipassd'); });
      });`.replaceAll('ipc.default', 'ipc');
    const root = new URL('../../', import.meta.url).pathname;
    const result = await runProgram(process.execPath, ['--input-type=module', '-e', script], {
      cwd: root,
      env: running.home.env,
    });
    expect(result).toMatchObject({ code: 0, stdout: `a ${LOCAL_KEY}\n` });
  });

  it.each(['GET', 'POST'])('answers HTTP (%s) with the path of the gateway, and closes', async (method) => {
    const { socket, gatewaySocket } = shared.home.paths;
    const asked = request({ socketPath: socket, method, path: '/openrouter/v1/models', agent: false });
    asked.end();
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      asked.once('response', resolve).once('error', reject);
    });
    expect(answer.statusCode).toBe(400);
    expect(await text(answer)).toContain(gatewaySocket);
  });

  it('a frame of 64 MB, half a frame, garbage and silence disturb nobody else', async () => {
    await using running = await createTestDaemon();
    const path = running.home.paths.socket;
    await using large = await RawClient.greet(path);
    await using half = await RawClient.greet(path);
    await using garbage = await RawClient.greet(path);
    await using silent = await RawClient.open(path);
    const aipass = await running.connect();
    half.sendText('{"type":"request","data":{"id":1,"op":"key.get"');
    garbage.sendText('not json\f');
    large.sendText('{"type":"request","data":{"id":1,"op":"key.get","params":{"provider":"');
    for (let sent = 0; sent < 64; sent += 1) large.sendText('x'.repeat(1024 * 1024));
    expect(await aipass.key('local')).toBe(LOCAL_KEY);
    expect((await garbage.next('error')).data.error).toMatchObject({ code: 'BAD_REQUEST', hint: expect.any(String) });
    expect((await large.next('error')).data.error).toMatchObject({ code: 'BAD_REQUEST' });
    await garbage.closed();
    await large.closed();
    expect(await aipass.key('local')).toBe(LOCAL_KEY);
    half.sendText(',"params":{"provider":"local"}}}\f');
    expect((await half.next('reply')).data.result).toMatchObject({ key: LOCAL_KEY });
    expect(silent.isClosed).toBe(false);
  });

  it.each([
    ['an unknown operation', 'key.gte', {}, 'BAD_REQUEST', 'key.get'],
    ['a wrong parameter', 'key.get', { provider: 7 }, 'BAD_REQUEST', 'correct'],
    ['a parameter that is none', 'key.get', { providr: 'x' }, 'BAD_REQUEST', 'correct'],
    ['a missing model', 'completion.create', { messages: [{ role: 'user', content: 'x' }] }, 'BAD_REQUEST', 'correct'],
    ['an unknown provider', 'key.get', { provider: 'opnrouter' }, 'NOT_FOUND', 'openrouter'],
    ['a missing key', 'key.get', { provider: 'groq' }, 'NOT_FOUND', 'GROQ_API_KEY'],
    ['a missing secret', 'secret.get', { name: 'a/b' }, 'NOT_FOUND', ''],
  ])('%s gets a code and a hint', async (_name, op, params, code, hint) => {
    await using client = await RawClient.greet(shared.home.paths.socket);
    const answer = await client.ask(1, op, params);
    expect(answer.data.error).toMatchObject({ code, hint: expect.stringContaining(hint) });
    expect((await client.ask(2, 'status.get')).type).toBe('reply');
  });

  it.runIf(process.getuid?.() === 0)('keeps another user out by its mode', async () => {
    await using running = await createTestDaemon();
    chmodSync(running.home.path, 0o755);
    chmodSync(running.home.paths.runtime, 0o755);
    const script = `require('node:net').connect(${JSON.stringify(running.home.paths.socket)}).on('error', (e) => console.log(e.code)).on('connect', () => console.log('in'))`;
    const child = spawn(process.execPath, ['-e', script], {
      uid: 65_534,
      gid: 65_534,
      cwd: '/',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    let output = '';
    for await (const chunk of child.stdout) output += String(chunk);
    expect(output).toBe('EACCES\n');
  });
});
