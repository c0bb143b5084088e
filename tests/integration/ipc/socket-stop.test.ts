import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { RawClient } from '../../support/raw-client.ts';
import { startTestServer } from '../../support/test-server.ts';
import { until } from '../../support/until.ts';

describe('stopping', () => {
  it('lets a request in flight finish, and its answer arrive, before the connection ends', async () => {
    await using test = await startTestServer();
    await using client = await RawClient.greet(test.socket);
    client.request(1, 'secret.list', { late: true });
    await until('it is in flight', () => test.server.requestsInFlight === 1);
    const stopped = test.server.stop(10_000);
    test.finish();
    await stopped;
    expect(await client.next('reply')).toMatchObject({ data: { id: 1, result: { late: true } } });
    await client.closed();
  });

  it('delivers a large answer in whole, also to a peer that takes its time', async () => {
    await using test = await startTestServer();
    await using client = await RawClient.greet(test.socket);
    const pad = 'x'.repeat(8 * 1024 * 1024);
    client.request(1, 'secret.list', { pad });
    await until('it is in flight', () => test.server.requestsInFlight === 1);
    const stopped = test.server.stop(10_000);
    test.finish();
    for (const begun = performance.now(); performance.now() - begun < 1500;) {
      client.pause();
      await new Promise(setImmediate);
      client.resume();
    }
    await stopped;
    expect(await client.next('reply')).toMatchObject({ data: { result: { pad } } });
  });

  it('aborts what hangs after the time of grace, and says so', async () => {
    await using test = await startTestServer();
    await using client = await RawClient.greet(test.socket);
    client.request(1, 'secret.get');
    await until('it is in flight', () => test.server.requestsInFlight === 1);
    await test.server.stop(50);
    expect(await client.next('error')).toMatchObject({
      data: { id: 1, error: { code: 'CANCELLED', message: 'the daemon is stopping' } },
    });
    await client.closed();
    expect(test.aborts).toHaveLength(1);
  });

  it('goes on without a request that ignores its abort', async () => {
    await using test = await startTestServer();
    await using client = await RawClient.greet(test.socket);
    client.request(1, 'secret.list');
    await until('it is in flight', () => test.server.requestsInFlight === 1);
    await test.server.stop(0);
    await client.closed();
    expect(client.messages.map((message) => message.type)).toStrictEqual(['welcome']);
  });

  it('takes no new connections, and removes the socket', async () => {
    await using test = await startTestServer();
    await using client = await RawClient.greet(test.socket);
    client.request(1, 'secret.list');
    await until('it is in flight', () => test.server.requestsInFlight === 1);
    const stopped = test.server.stop(10_000);
    await expect(RawClient.open(test.socket)).rejects.toMatchObject({ code: 'ENOENT' });
    test.finish();
    await stopped;
    expect(existsSync(test.socket)).toBe(false);
  });

  it('does not wait for connections that are idle', async () => {
    await using test = await startTestServer();
    await using idle = await RawClient.greet(test.socket);
    // If it waited for them, it would for longer than a test may take.
    await test.server.stop(600_000);
    await idle.closed();
    expect(test.server.connections).toBe(0);
  });

  it('does not wait for a peer that neither reads nor leaves', async () => {
    await using test = await startTestServer();
    await using lazy = await RawClient.greet(test.socket);
    lazy.pause();
    lazy.request(1, 'completion.create', { count: 100, size: 256 * 1024 });
    await until('it streams', () => test.chunks() > 0);
    await test.server.stop(0);
    await until('it is gone', () => test.server.connections === 0);
  });

  it('twice, or before the start, does nothing', async () => {
    await using test = await startTestServer();
    await test.server.stop(0);
    await expect(test.server.stop(0)).resolves.toBeUndefined();
  });
});
