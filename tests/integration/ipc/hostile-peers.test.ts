import { createConnection } from 'node:net';
import { describe, expect, it } from 'vitest';
import { RawClient } from '../../support/raw-client.ts';
import { startTestServer } from '../../support/test-server.ts';
import { until } from '../../support/until.ts';

function ask(id: number): string {
  return `{"type":"request","data":{"id":${id},"op":"status.get"}}\f`;
}

/** Proves that the daemon still serves: a new connection, and an answer on it. */
async function expectServes(socket: string): Promise<void> {
  await using client = await RawClient.greet(socket);
  expect(await client.ask('still', 'status.get', { up: true })).toMatchObject({ data: { result: { up: true } } });
}

describe('a peer', () => {
  it('that speaks as it should is answered, with or without a hello', async () => {
    await using test = await startTestServer();
    await using polite = await RawClient.greet(test.socket, { caller: 'flow' });
    await using curt = await RawClient.open(test.socket);
    expect(await polite.ask(1, 'status.get', { a: 1 })).toMatchObject({ type: 'reply', data: { result: { a: 1 } } });
    expect(await curt.ask('x', 'provider.list', { b: 2 })).toMatchObject({ type: 'reply', data: { result: { b: 2 } } });
    expect(test.contexts[0]?.caller.name).toBe('flow');
    expect(test.contexts[1]?.caller.name).toBeNull();
  });

  it('may send everything at once, and gets every answer once', async () => {
    await using test = await startTestServer();
    await using client = await RawClient.open(test.socket);
    client.send('hello', { protocol: 1 });
    for (let id = 0; id < 500; id += 1) client.request(id, id % 2 === 0 ? 'status.get' : 'provider.list', { id });
    await until('500 answers', () => client.messages.length === 501);
    expect(new Set(client.messages.map((message) => message.data.id)).size).toBe(501);
    expect(client.messages.filter((message) => message.type === 'reply')).toHaveLength(500);
  });

  it.each([
    ['garbage', 'GET / HTTP/1.1\r\n\r\n\f'],
    ['an empty frame', '\f'],
    ['a list', '[]\f'],
    ['null', 'null\f'],
    ['a type that is a number', '{"type":7,"data":{}}\f'],
    ['a type that is an object', '{"type":{"toString":null},"data":{}}\f'],
    ['no type', '{"data":{}}\f'],
    ['a type only in the prototype', '{"__proto__":{"type":"hello"}}\f'],
    ['broken UTF-8 and NULs', '\u0000\ufffd\u0000\f'],
  ])('that sends %s is told why, and loses its connection', async (_what, text) => {
    await using test = await startTestServer();
    await using client = await RawClient.greet(test.socket);
    client.sendText(text);
    const { data } = await client.next('error');
    expect(data.id).toBeUndefined();
    expect(data.error).toMatchObject({ code: 'BAD_REQUEST', hint: expect.any(String) });
    await client.closed();
    await expectServes(test.socket);
  });

  it('gets the answers to what it asked before the garbage, and to nothing after it', async () => {
    await using test = await startTestServer();
    await using client = await RawClient.open(test.socket);
    client.sendText(`${ask(1)}${ask(2)}garbage\f${ask(3)}`);
    await client.closed();
    expect(client.messages.map((message) => message.data.id ?? message.data.error?.code)).toStrictEqual([
      1,
      2,
      'BAD_REQUEST',
    ]);
    expect(test.contexts).toHaveLength(2);
  });

  it.each(['connect', 'error', 'close', 'data', 'start', 'socket.disconnected', '*', '__proto__', 'constructor', ''])(
    'that sends a message of type %j only learns that there is none such',
    async (type) => {
      await using test = await startTestServer();
      await using client = await RawClient.greet(test.socket);
      client.send(type, { id: 1, op: 'status.get' });
      expect((await client.next('error')).data.error).toMatchObject({ code: 'BAD_REQUEST' });
      expect(await client.ask(2, 'status.get', { on: 1 })).toMatchObject({ data: { result: { on: 1 } } });
      expect(test.server.connections).toBe(1);
    },
  );

  it('that asks for an unknown operation, or with wrong data, learns why and goes on', async () => {
    await using test = await startTestServer();
    await using client = await RawClient.greet(test.socket);
    expect(await client.ask(1, 'status.gett')).toMatchObject({
      type: 'error',
      data: { error: { code: 'BAD_REQUEST', hint: expect.stringContaining('status.get') } },
    });
    expect(await client.ask(2, '__proto__')).toMatchObject({ data: { error: { code: 'BAD_REQUEST' } } });
    expect(await client.ask(3, 'status.get', ['no', 'object'])).toMatchObject({
      data: { error: { code: 'BAD_REQUEST' } },
    });
    expect(await client.ask(4, 'status.get', {})).toMatchObject({ type: 'reply' });
  });

  it('learns of a defect nothing but that there is one', async () => {
    await using test = await startTestServer();
    await using client = await RawClient.greet(test.socket);
    const { data } = await client.ask(1, 'key.list');
    expect(data.error?.code).toBe('INTERNAL');
    expect(JSON.stringify(data)).not.toContain('nobody expects');
    expect(test.logger.lines.filter(({ level }) => level !== 'debug')).toMatchObject([{ level: 'error' }]);
    await expectServes(test.socket);
  });

  it('that nests its data deeper than any stack is told so and put out', async () => {
    await using test = await startTestServer();
    await using client = await RawClient.greet(test.socket);
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    client.sendText(`{"type":"request","data":{"id":1,"op":"status.get","params":{"deep":${deep}}}}\f`);
    const { data } = await client.next('error');
    expect(data.error).toMatchObject({ code: 'BAD_REQUEST' });
    await client.closed();
    expect(test.contexts).toHaveLength(0);
  });

  it('that sends __proto__ changes no prototype', async () => {
    await using test = await startTestServer();
    await using client = await RawClient.greet(test.socket);
    client.sendText(
      '{"type":"request","data":{"__proto__":{"id":7,"op":"status.get"},"id":1,"op":"status.get",' +
        '"params":{"__proto__":{"polluted":true}}},"__proto__":{"polluted":true}}\f',
    );
    await client.next((message) => message.data.id === 1);
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
    client.sendText('{"type":"request","data":{"__proto__":{"id":7,"op":"status.get"}}}\f');
    expect((await client.next('error')).data.error?.code).toBe('BAD_REQUEST');
    await expectServes(test.socket);
  });

  it('that connects and vanishes leaves nothing behind', async () => {
    await using test = await startTestServer();
    for (let n = 0; n < 50; n += 1) {
      const socket = createConnection(test.socket);
      socket.on('error', () => {});
      socket.on('connect', () => socket.destroy());
    }
    await until('all are gone', () => test.server.connections === 0);
    await expectServes(test.socket);
  });

  it('that vanishes in the middle of a frame leaves nothing behind', async () => {
    await using test = await startTestServer();
    const client = await RawClient.greet(test.socket);
    client.sendText('{"type":"request","data":{"id":1,"op":"sta');
    client.destroy();
    await until('it is gone', () => test.server.connections === 0);
    expect(test.contexts).toHaveLength(0);
    await expectServes(test.socket);
  });

  it('that vanishes with requests in flight has them aborted', async () => {
    await using test = await startTestServer();
    const client = await RawClient.greet(test.socket);
    client.request(1, 'secret.get');
    client.request(2, 'secret.get');
    await until('both are in flight', () => test.server.requestsInFlight === 2);
    client.destroy();
    await until('both are aborted', () => test.aborts.length === 2);
    expect(test.aborts).toMatchObject([{ code: 'CANCELLED' }, { code: 'CANCELLED' }]);
    expect(test.server.requestsInFlight).toBe(0);
    expect(test.contexts[0]?.closed.aborted).toBe(true);
  });

  it('that cancels a request gets CANCELLED as its only answer', async () => {
    await using test = await startTestServer();
    await using client = await RawClient.greet(test.socket);
    client.request(1, 'secret.get');
    client.send('cancel', { id: 1 });
    client.send('cancel', { id: 99 });
    const { data } = await client.next((message) => message.data.id === 1);
    expect(data.error?.code).toBe('CANCELLED');
    await client.ask(2, 'status.get');
    expect(client.messages.filter((message) => message.data.id === 1)).toHaveLength(1);
  });

  it('of another protocol version is told so, and loses its connection', async () => {
    await using test = await startTestServer();
    await using client = await RawClient.open(test.socket);
    client.send('hello', { protocol: 2 });
    expect((await client.next('error')).data.error).toMatchObject({
      code: 'VERSION_MISMATCH',
      message: expect.stringMatching(/protocol 2.*1\.2\.3.*protocol 1/),
    });
    await client.closed();
  });
});
