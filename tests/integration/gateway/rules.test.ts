import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { lstatSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AipassError } from '../../../src/base/errors.ts';
import { systemClock } from '../../../src/base/clock.ts';
import { ALL_RIGHTS } from '../../../src/callers/access.ts';
import { Gate } from '../../../src/callers/gate.ts';
import { UserLimits } from '../../../src/callers/user-limits.ts';
import type { GatewayRun } from '../../../src/gateway/listeners.ts';
import { WIDE_LIMITS } from '../../support/admission.ts';
import { portOf } from '../../support/port-of.ts';
import {
  answerPong,
  OWN_GRANT,
  OWN_UID,
  readAll,
  startTestGateway,
  type TestGateway,
} from '../../support/test-gateway.ts';
import { until } from '../../support/until.ts';

let gateway: TestGateway;
let run: GatewayRun;
beforeAll(async () => {
  gateway = await startTestGateway();
  run = await gateway.listeners.openRun(OWN_GRANT);
});
afterAll(async () => {
  run.close();
  await gateway[Symbol.asyncDispose]();
});

/** Gate that admits nobody. */
class ClosedGate extends Gate {
  constructor() {
    const grants = { ownUid: OWN_UID, grants: [], organizations: new Map() };
    super({ grants: () => grants, limits: new UserLimits(WIDE_LIMITS, systemClock), onRejected: () => {} });
  }

  override admit(): never {
    throw new AipassError('FORBIDDEN', 'nobody may ask');
  }
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

describe('the socket', () => {
  it('has mode 0600, and takes the kernel’s word for who asks: no token', async () => {
    expect(lstatSync(gateway.path).mode & 0o777).toBe(0o600);
    expect(await gateway.ask('/local/v1/models', { headers: { host: 'anything' } })).toMatchObject({
      status: 200,
      body: '"pong"',
    });
    expect(gateway.calls.at(-1)?.caller).toMatchObject({ uid: OWN_UID, pid: process.pid });
  });

  it('answers health without a right, and its root with nothing', async () => {
    expect((await gateway.ask('/healthz')).status).toBe(200);
    expect((await gateway.ask('/readyz')).status).toBe(200);
    expect(await gateway.ask('/', { method: 'HEAD' })).toMatchObject({ status: 200, body: '' });
  });

  it.each([
    ['a request of a web page', { origin: 'http://localhost' }, 403],
    ['a request of a page of the same site', { 'sec-fetch-site': 'same-origin' }, 403],
    ['a request that a browser made from a page', { 'sec-fetch-site': 'cross-site' }, 403],
    ['an address that was typed into a browser', { 'sec-fetch-site': 'none' }, 200],
    ["the mode that Node's fetch states", { 'sec-fetch-mode': 'cors' }, 200],
  ])('%s (%j) gets %i', async (_name, headers, status) => {
    const reply = await gateway.ask('/local/v1/models', { headers });
    expect(reply.status).toBe(status);
    expect(Object.keys(reply.headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
  });

  it.each(['/', '/healthz', '/readyz', '/metrics'])(
    'a POST to %s gets an error, and no text with 200',
    async (path) => {
      expect(await gateway.ask(path, { method: 'POST', body: '{}' })).toMatchObject({
        status: 405,
        headers: { allow: 'GET, HEAD', 'content-type': 'application/json' },
      });
    },
  );

  it('a request without Host, or in a transfer coding that nobody decodes, reaches nobody', async () => {
    const calls = gateway.calls.length;
    const bare = gateway.connect();
    bare.write('GET /local/v1/models HTTP/1.1\r\nconnection: close\r\n\r\n');
    expect(await readAll(bare)).toMatch(/^HTTP\/1\.1 400 [^]*"bad_request"/);
    const coded = gateway.connect();
    coded.write(
      'POST /local/v1/files HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip, chunked\r\nconnection: close\r\n\r\n0\r\n\r\n',
    );
    expect(await readAll(coded)).toMatch(/^HTTP\/1\.1 501 [^]*"unsupported"/);
    expect(gateway.calls).toHaveLength(calls);
  });

  it('metrics count as requests of their user', async () => {
    await using limited = await startTestGateway({ limits: { requestsPerSecond: 1 } });
    const statuses: number[] = [];
    for (let count = 0; count < 20; count += 1) statuses.push((await limited.ask('/metrics')).status);
    expect(statuses[0]).toBe(200);
    expect(statuses).toContain(429);
  });

  it('an answer without a body has no length', async () => {
    await using empty = await startTestGateway({
      manage: () => Promise.resolve({ status: 204, headers: {}, body: '' }),
    });
    const { status, headers } = await empty.ask('/api/v1/x', { method: 'DELETE' });
    expect([status, headers['content-length']]).toEqual([204, undefined]);
  });

  it('the name of an unknown provider is shown without what could turn a line around', async () => {
    const { status, body } = await gateway.ask('/%E2%80%AEevil/v1/models');
    expect(status).toBe(404);
    expect(body).not.toContain('\u202E');
  });

  it('a long caller that was encoded is cut behind a whole character, decoded', async () => {
    await gateway.ask('/local/v1/models', { headers: { 'x-aipass-caller': encodeURIComponent('漢'.repeat(200)) } });
    expect(gateway.calls.at(-1)?.caller.caller).toMatch(/^漢{127}.$/);
    await gateway.ask('/local/v1/models', { headers: { 'x-aipass-caller': `${'x'.repeat(300)}%` } });
    expect(gateway.calls.at(-1)?.caller.caller).toMatch(/^x{127}.$/);
  });

  it('connections that are rejected are bounded', async () => {
    await using full = await startTestGateway({ gate: new ClosedGate() });
    // They keep their ends open: none makes room for the next one.
    const sockets = Array.from({ length: 100 }, () => createConnection({ path: full.path, allowHalfOpen: true }));
    const replies = await Promise.all(
      sockets.map(async (socket) => {
        const chunks: Buffer[] = [];
        socket.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', () => {});
        await Promise.race([once(socket, 'end'), once(socket, 'close')]);
        return Buffer.concat(chunks).toString();
      }),
    );
    for (const socket of sockets) socket.destroy();
    expect(replies.filter((reply) => reply.startsWith('HTTP/1.1 '))).toHaveLength(64);
    expect(replies.filter((reply) => reply === '')).toHaveLength(36);
  });

  it.each(['OPTIONS', 'TRACE'])('%s is refused', async (method) => {
    const reply = await gateway.ask('/local/v1/models', { method });
    expect([reply.status, reply.headers.allow]).toEqual([405, 'GET, HEAD, POST, PUT, PATCH, DELETE']);
  });

  it('the offer of HTTP/2 that Java makes is ignored, and its request served', async () => {
    const socket = gateway.connect();
    const all = readAll(socket);
    const offer = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA\r\n';
    const body = Buffer.alloc(500_000, 'a');
    socket.write(`POST /local/v1/x HTTP/1.1\r\nHost: x\r\n${offer}Content-Length: ${body.length}\r\n\r\n`);
    socket.write(body);
    await once(socket, 'data');
    socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    expect(await all).toMatch(/^HTTP\/1\.1 200 [^]*"pong"[^]*HTTP\/1\.1 200 [^]*ok\n$/);
    expect(gateway.calls.at(-1)?.body?.equals(body)).toBe(true);
  });

  it('a request for another protocol gets 426, and its connection ends', async () => {
    const socket = gateway.connect();
    const all = readAll(socket);
    socket.write('GET /v1/responses HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    expect(await all).toMatch(/^HTTP\/1\.1 426 Upgrade Required\r\n/);
  });

  it.each([
    'GET http://evil.example/v1/models HTTP/1.1\r\nHost: x\r\n\r\n',
    'GET //evil.example/v1/models HTTP/1.1\r\nHost: x\r\n\r\n',
    'GET /local/../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n',
    'GET /local/%2e%2e/x HTTP/1.1\r\nHost: x\r\n\r\n',
    'GET /local/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n',
    'GET /local/x HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n',
    'GET /local/x HTTP/1.1\r\n\r\n',
    'POST /local/x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'POST /local/x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc',
    'POST /local/x HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'POST /local/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n',
    'POST /local/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n',
    'POST /local/x HTTP/1.1\r\nHost: x\r\nContent-Length : 3\r\n\r\nabc',
    'POST /local/x HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\nabc',
    'POST /local/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;a\nabc\r\n0\r\n\r\n',
    'POST /local/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX0\r\n\r\n',
    'GET /local/x HTTP/1.1\nHost: x\n\n',
    'GET /local/x HTTP/1.1\r\nHost: x\r\nX-A: a\rX-B: b\r\n\r\n',
    'GET /local/x\r\n\r\n',
    'not http at all\r\n\r\n',
  ])('a request that could be read in two ways is refused: %j', async (text) => {
    const before = gateway.calls.length;
    const socket = gateway.connect();
    const all = readAll(socket);
    socket.end(text);
    expect(await all).toMatch(/^HTTP\/1\.1 400 /);
    expect(gateway.calls.length).toBe(before);
  });

  it('a request smuggled behind another one is checked as every other', async () => {
    const before = gateway.calls.length;
    const socket = gateway.connect();
    const all = readAll(socket);
    socket.end(
      'POST /local/a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi' +
        'GET /local/b HTTP/1.1\r\nHost: x\r\nOrigin: http://evil.example\r\n\r\n',
    );
    const answers = await all;
    expect([...answers.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)).toEqual(['200', '403']);
    expect(gateway.calls.slice(before).map(({ path }) => path)).toEqual(['/a']);
  });

  it('headers of a megabyte get 431, and too many of them as well', async () => {
    const socket = gateway.connect();
    // A client that reads only when all is sent has to get that far.
    const sent = await new Promise<Error | null | undefined>((resolve) => {
      socket.once('error', resolve);
      socket.write(`GET /local/x HTTP/1.1\r\nHost: x\r\nX-Long: ${'a'.repeat(1024 * 1024)}\r\n\r\n`, resolve);
    });
    expect(sent ?? null).toBeNull();
    expect(await readAll(socket)).toMatch(/^HTTP\/1\.1 431 /);
    const headers = Object.fromEntries(Array.from({ length: 200 }, (_, at) => [`x-${at}`, 'y']));
    expect((await gateway.ask('/local/x', { headers })).status).toBe(431);
  });

  it('a body over the limit is refused before it is read, and while it is read', async () => {
    const reply = await gateway.ask('/local/x', { method: 'POST', body: Buffer.alloc(1024 * 1024 + 1) });
    expect(reply.status).toBe(413);
    const socket = gateway.connect();
    const all = readAll(socket);
    socket.write('POST /local/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n');
    const chunk = `10000\r\n${'a'.repeat(65_536)}\r\n`;
    for (let at = 0; at < 17; at += 1) socket.write(chunk);
    expect(await all).toMatch(/^HTTP\/1\.1 413 /);
  });

  it('a request behind one whose answer closes the connection reaches nobody', async () => {
    const before = gateway.calls.length;
    const socket = gateway.connect();
    const all = readAll(socket);
    socket.write('POST /local/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n');
    const chunk = `10000\r\n${'a'.repeat(65_536)}\r\n`;
    for (let at = 0; at < 18; at += 1) socket.write(chunk);
    socket.write('0\r\n\r\nGET /local/behind HTTP/1.1\r\nHost: x\r\n\r\n');
    expect(await all).toMatch(/^HTTP\/1\.1 413 /);
    expect(gateway.calls.slice(before).map(({ path }) => path)).toEqual([]);
  });

  it('nobody is told to continue with a body that is refused', async () => {
    const socket = gateway.connect();
    const all = readAll(socket);
    const length = 1024 * 1024 + 1;
    socket.write(`POST /local/x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: ${length}\r\n\r\n`);
    expect(await all).toMatch(/^HTTP\/1\.1 413 /);
  });

  it.each([
    ['a body over the limit', '/local/x', true, 413],
    ['a request without a token', '/local/x', false, 401],
    ['a request for nobody', '/nobody/x', true, 404],
  ])('%s is told so, though its client reads only when all is sent', async (_what, path, hasToken, status) => {
    const socket = gateway.connect(run.port);
    const token = hasToken ? `Authorization: Bearer ${run.token}\r\n` : '';
    const length = 16 * 1024 * 1024;
    socket.pause();
    socket.write(`POST ${path} HTTP/1.1\r\nHost: 127.0.0.1:${run.port}\r\n${token}Content-Length: ${length}\r\n\r\n`);
    const sent = await new Promise<Error | null | undefined>((resolve) => {
      socket.once('error', resolve);
      socket.write(Buffer.alloc(length), resolve);
    });
    expect(sent ?? null).toBeNull();
    expect(await readAll(socket.resume())).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  });

  it('a body that ends early reaches nobody', async () => {
    const before = gateway.calls.length;
    const socket = gateway.connect();
    const all = readAll(socket);
    socket.end('POST /local/x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf');
    await all;
    await until('its request is forgotten', () => gateway.listeners.requestsInFlight === 0);
    expect(gateway.calls.length).toBe(before);
  });

  it('the body goes on as it came, chunked or not, when the client was told to continue', async () => {
    const body = Buffer.from([0, 255, 13, 10, 0]);
    await gateway.ask('/local/v1/audio', { method: 'POST', body, headers: { expect: '100-continue' } });
    expect(gateway.calls.at(-1)?.body).toEqual(body);
    await gateway.ask('/local/v1/audio', { method: 'POST', body, headers: { 'transfer-encoding': 'chunked' } });
    expect(gateway.calls.at(-1)?.body).toEqual(body);
    await gateway.ask('/local/v1/models/m', { method: 'DELETE' });
    expect(gateway.calls.at(-1)).toMatchObject({ method: 'DELETE', body: null, path: '/models/m' });
  });

  it('the caller is the product of the User-Agent, and the session what the client names', async () => {
    await gateway.ask('/v1/messages', {
      headers: {
        'user-agent': 'claude-cli/2.1.197 (external, sdk-cli)',
        'x-claude-code-session-id': 'abc',
        'anthropic-version': '2023-06-01',
      },
    });
    expect(gateway.calls.at(-1)?.caller).toMatchObject({ caller: 'claude-cli', session: 'abc' });
    await gateway.ask('/local/v1/models', { headers: { 'user-agent': 'OpenAI/Python 3.57.0', 'session-id': 's1' } });
    expect(gateway.calls.at(-1)?.caller).toMatchObject({ caller: 'OpenAI/Python', session: 's1' });
  });

  it('an unknown provider is named in an error of the dialect', async () => {
    const reply = await gateway.ask('/nobody/v1/messages', { headers: { 'anthropic-version': '2023-06-01' } });
    expect(reply.status).toBe(404);
    expect(JSON.parse(reply.body)).toMatchObject({ type: 'error', error: { type: 'not_found_error' } });
  });
});

describe('loopback', () => {
  it('a token in any place where clients put one serves, from the user that it belongs to', async () => {
    const places: readonly (readonly [string, Record<string, string>])[] = [
      ['/local/v1/models', bearer(run.token)],
      ['/local/v1/models', { 'x-api-key': run.token }],
      ['/local/v1/models', { 'x-goog-api-key': run.token }],
      [`/local/v1/models?key=${run.token}`, {}],
      ['/local/v1/models', { ...bearer(run.token), 'x-api-key': run.token }],
    ];
    for (const [url, headers] of places) {
      expect(await gateway.ask(url, { port: run.port, headers })).toMatchObject({ status: 200, body: '"pong"' });
      expect(gateway.calls.at(-1)?.query).toBe('');
    }
    expect(gateway.calls.at(-1)?.caller).toMatchObject({ caller: 'run', session: 'run-session', uid: OWN_UID });
  });

  it.each([
    ['no token', '/local/v1/models', {}, 401],
    ['a wrong token', '/local/v1/models', bearer('aip-wrong'), 401],
    ['an empty token', '/local/v1/models', { authorization: 'Bearer ' }, 401],
    ['a token in a header that nobody reads', '/local/v1/models', { 'x-token': 'x' }, 401],
    ['two different tokens', '/local/v1/models?key=other', bearer('one'), 400],
    ['health without a token', '/healthz', {}, 401],
    ['metrics without a token', '/metrics', {}, 401],
    ['the management API without a token', '/api/v1/status', {}, 401],
  ])('%s is refused', async (_name, url, headers, status) => {
    const before = gateway.calls.length;
    expect((await gateway.ask(url, { port: run.port, headers })).status).toBe(status);
    expect(gateway.calls.length).toBe(before);
  });

  it('a parameter "key" without a value presents nothing', async () => {
    const { port, token } = run;
    expect((await gateway.ask('/local/v1/models?key', { port, headers: bearer(token) })).status).toBe(200);
    expect((await gateway.ask('/local/v1/models?key', { port })).status).toBe(401);
  });

  it('the right token beside a wrong one is refused', async () => {
    const headers = { ...bearer(run.token), 'x-api-key': 'other' };
    expect((await gateway.ask('/local/v1/models', { port: run.port, headers })).status).toBe(400);
  });

  it.each([
    ['the name of a page', 'evil.example', 421],
    ['the name of a page with our port', 'evil.example:PORT', 421],
    ['another port', '127.0.0.1:1', 421],
    ['no port', '127.0.0.1', 421],
    ['localhost', 'localhost:PORT', 200],
    ['the loopback address of IPv6', '[::1]:PORT', 200],
    ['capitals', 'LocalHost:PORT', 200],
  ])('a Host with %s gets %s', async (_name, host, status) => {
    const headers = { ...bearer(run.token), host: host.replace('PORT', String(run.port)) };
    expect((await gateway.ask('/local/v1/models', { port: run.port, headers })).status).toBe(status);
  });

  it("Claude Code's first question needs no token, and tells nothing", async () => {
    expect(await gateway.ask('/', { method: 'HEAD', port: run.port })).toMatchObject({ status: 200, body: '' });
  });

  it('a token of another user is refused, whoever presents it', async () => {
    const other = await gateway.listeners.openRun({ ...OWN_GRANT, uid: OWN_UID + 1 });
    const reply = await gateway.ask('/local/v1/models', { port: other.port, headers: bearer(other.token) });
    expect(reply.status).toBe(OWN_UID === 0 ? 200 : 403);
    other.close();
  });

  it('a token gives no more than its own rights and providers', async () => {
    const narrow = await gateway.listeners.openRun({
      ...OWN_GRANT,
      rights: new Set(['use']),
      providers: new Set(['anthropic']),
    });
    const ask = async (url: string) =>
      (await gateway.ask(url, { port: narrow.port, headers: bearer(narrow.token) })).status;
    expect([await ask('/anthropic/v1/models'), await ask('/local/v1/models'), await ask('/metrics')]).toEqual([
      200, 403, 403,
    ]);
    expect(gateway.refusals.at(-1)).toMatchObject({ operation: 'gateway.metrics', caller: { name: 'run' } });
    narrow.close();
  });

  it('a kept connection has the rights of the token that each request presents, until that ends', async () => {
    const wide = await gateway.listeners.openRun(OWN_GRANT);
    const narrow = await gateway.listeners.openRun({ ...OWN_GRANT, providers: new Set(['anthropic']) });
    const socket = gateway.connect(wide.port);
    const ask = async (token: string): Promise<number> => {
      const head = `GET /local/v1/models HTTP/1.1\r\nHost: 127.0.0.1:${wide.port}\r\nAuthorization: Bearer ${token}`;
      const answered = once(socket, 'data');
      socket.write(`${head}\r\n\r\n`);
      return Number(/^HTTP\/1\.1 (\d+)/.exec(String(await answered))?.[1]);
    };
    const statuses = [await ask(wide.token), await ask(wide.token), await ask(narrow.token), await ask(wide.token)];
    expect(statuses).toEqual([200, 200, 403, 200]);
    narrow.close();
    expect([await ask(wide.token), await ask(narrow.token), await ask(wide.token)]).toEqual([200, 401, 200]);
    wide.close();
    expect(await ask(wide.token)).toBe(401);
    socket.destroy();
  });

  it('a token ends with its run, and the listener with the last run', async () => {
    await using other = await startTestGateway();
    const [first, second] = [await other.listeners.openRun(OWN_GRANT), await other.listeners.openRun(OWN_GRANT)];
    expect(first.port).toBe(second.port);
    first.close();
    const ask = (token: string) => other.ask('/local/v1/models', { port: first.port, headers: bearer(token) });
    expect((await ask(first.token)).status).toBe(401);
    expect((await ask(second.token)).status).toBe(200);
    second.close();
    second.close();
    await expect(ask(second.token)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    expect(other.listeners.port).toBeNull();
  });
});

const hashOf = (token: string) => createHash('sha256').update(token).digest('hex');

describe('a run whose daemon restarted', () => {
  it('has its port and its token again, and ends as before', async () => {
    const state = new Map<string, unknown>();
    const bound = new Map<string, () => unknown>();
    const kept = {
      section: (name: string) => state.get(name),
      bind: (name: string, save: () => unknown) => void bound.set(name, save),
      changed: () => {
        for (const [name, save] of bound) state.set(name, save());
      },
    };
    let token: string;
    let port: number;
    {
      await using before = await startTestGateway({ state: kept });
      ({ token, port } = await before.listeners.openRun(OWN_GRANT));
    }
    expect(JSON.stringify([...state])).not.toContain(token);
    await using after = await startTestGateway({ state: kept });
    const ask = () => after.ask('/local/v1/models', { port, headers: bearer(token) });
    const tokenHash = hashOf(token);
    await expect(after.listeners.reopenRun(OWN_GRANT, { port: port + 1, tokenHash })).rejects.toMatchObject({
      code: 'CONFLICT',
    });
    expect(after.listeners.port).toBeNull();
    const again = await after.listeners.reopenRun(OWN_GRANT, { port, tokenHash });
    expect((await ask()).status).toBe(200);
    // Nobody takes a token over that is in use.
    await expect(after.listeners.reopenRun({ ...OWN_GRANT, name: 'other' }, { port, tokenHash })).rejects.toMatchObject(
      { code: 'CONFLICT' },
    );
    expect((await ask()).status).toBe(200);
    again.close();
    await expect(ask()).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    expect(state.get('gatewayRunsPort')).toBeUndefined();
  });

  it('gets no port that the daemon never chose', async () => {
    await using other = await startTestGateway();
    const earlier = { port: 8080, tokenHash: hashOf('aip-guess') };
    await expect(other.listeners.reopenRun(OWN_GRANT, earlier)).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(other.listeners.port).toBeNull();
  });

  it('a new run has another port where that of the earlier ones is taken', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const port = portOf(taken);
    const section = (name: string) => (name === 'gatewayRunsPort' ? port : undefined);
    await using other = await startTestGateway({ state: { section, bind: () => {}, changed: () => {} } });
    const earlier = { port, tokenHash: hashOf('aip-earlier') };
    await expect(other.listeners.reopenRun(OWN_GRANT, earlier)).rejects.toMatchObject({ code: 'CONFLICT' });
    const opened = await other.listeners.openRun(OWN_GRANT);
    expect(opened.port).not.toBe(port);
    opened.close();
    taken.close();
  });
});

/** Returns the status that a valid token gets from a peer whom the kernel names so. */
async function statusFor(peerUid: number | null): Promise<number> {
  await using other = await startTestGateway({ peerUid: () => peerUid });
  const opened = await other.listeners.openRun(OWN_GRANT);
  return (await other.ask('/local/v1/models', { port: opened.port, headers: bearer(opened.token) })).status;
}

it('Host is checked on open connections during a stop, too', async () => {
  const { promise: mayEnd, resolve: end } = Promise.withResolvers<void>();
  await using other = await startTestGateway({
    forward: async (request, sink, signal) => {
      await mayEnd;
      return await answerPong(request, sink, signal);
    },
  });
  const { port, token } = await other.listeners.openRun(OWN_GRANT);
  const request = (host: string): string =>
    `GET /local/v1/models HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${token}\r\n\r\n`;
  const socket = other.connect(port);
  const all = readAll(socket);
  socket.write(request(`127.0.0.1:${port}`));
  await until('one is asked', () => other.calls.length === 1);
  const stopped = other.listeners.stop(5000);
  socket.write(request(`rebound.example:${port}`) + request(`127.0.0.1:${port}`));
  await until('another one is asked', () => other.calls.length === 2);
  end();
  await stopped;
  expect([...(await all).matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)).toEqual(['200', '421', '200']);
});

describe('peers on loopback', () => {
  it('a connection whose user the kernel does not prove is refused', async () => {
    expect(await statusFor(null)).toBe(403);
  });

  it('connections that wait together are each proved', async () => {
    const opened = await gateway.listeners.openRun(OWN_GRANT);
    const ask = () => gateway.ask('/local/v1/models', { port: opened.port, headers: bearer(opened.token) });
    const replies = await Promise.all(Array.from({ length: 8 }, ask));
    expect(replies.map(({ status }) => status)).toEqual(Array.from({ length: 8 }, () => 200));
    opened.close();
  });

  it('a user who may not ask is refused, with a valid token too', async () => {
    expect(await statusFor(54_321)).toBe(403);
  });

  it('loopback is not opened where the kernel cannot be asked', async () => {
    await using other = await startTestGateway({ knowsPeers: () => false });
    await expect(other.listeners.openRun(OWN_GRANT)).rejects.toBeInstanceOf(AipassError);
    expect(other.listeners.port).toBeNull();
    await expect(startTestGateway({ knowsPeers: () => false, port: 0 })).rejects.toBeInstanceOf(AipassError);
  });

  it('an answer does not begin for a caller that lost its right meanwhile', async () => {
    const rights = new Set(ALL_RIGHTS);
    await using other = await startTestGateway({
      forward: (request, sink, signal) => {
        rights.delete('use');
        return answerPong(request, sink, signal);
      },
    });
    const opened = await other.listeners.openRun({ ...OWN_GRANT, rights });
    const reply = await other.ask('/local/v1/models', { port: opened.port, headers: bearer(opened.token) });
    expect(reply.status).toBe(403);
    expect(other.refusals).toMatchObject([{ operation: 'provider.forward' }]);
  });
});
