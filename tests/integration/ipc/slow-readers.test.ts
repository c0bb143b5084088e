import { describe, expect, it } from 'vitest';
import { RawClient } from '../../support/raw-client.ts';
import { startTestServer } from '../../support/test-server.ts';
import { until } from '../../support/until.ts';

const MEGABYTE = 1024 * 1024;

/** Resolves when a number has not changed for a while: the daemon waits for the peer. */
async function settled(value: () => number): Promise<number> {
  let last = value();
  let since = performance.now();
  await until('it stands still', () => {
    if (value() !== last) {
      last = value();
      since = performance.now();
    }
    return last > 0 && performance.now() - since > 200;
  });
  return last;
}

describe('a peer that does not read its answers', () => {
  it('is sent no more of a stream than a little, and gets the rest when it reads', async () => {
    await using test = await startTestServer();
    await using client = await RawClient.greet(test.socket);
    client.pause();
    client.request(1, 'completion.create', { count: 200, size: MEGABYTE / 8 });
    const sent = await settled(test.chunks);
    expect(sent).toBeLessThan(60);
    client.resume();
    await client.next('reply');
    expect(client.messages.filter((message) => message.type === 'chunk')).toHaveLength(200);
  });

  it('keeps nobody else waiting', async () => {
    await using test = await startTestServer();
    await using lazy = await RawClient.greet(test.socket);
    await using other = await RawClient.greet(test.socket);
    lazy.pause();
    lazy.request(1, 'completion.create', { count: 1000, size: MEGABYTE / 4 });
    await settled(test.chunks);
    for (let id = 0; id < 100; id += 1) {
      expect(await other.ask(id, 'status.get', { id })).toMatchObject({ data: { result: { id } } });
    }
  });

  it('is not read from either, so that its requests cannot fill our memory', async () => {
    await using test = await startTestServer();
    await using client = await RawClient.greet(test.socket);
    client.pause();
    const params = { pad: 'x'.repeat(64 * 1024) };
    for (let id = 0; id < 1000; id += 1) client.request(id, 'status.get', params);
    const served = await settled(() => test.contexts.length);
    expect(served).toBeLessThan(200);
    expect(client.unsent).toBeGreaterThan(MEGABYTE);
    client.resume();
    await client.next((message) => message.data.id === 999, 20_000);
    expect(client.messages.filter((message) => message.type === 'reply')).toHaveLength(1000);
  });

  it('does not count as late with a frame that we did not let it finish', async () => {
    await using test = await startTestServer({ unfinishedFrameMs: 1000 });
    await using client = await RawClient.greet(test.socket);
    await using dawdler = await RawClient.greet(test.socket);
    client.pause();
    const params = { pad: 'x'.repeat(700_000) };
    for (let id = 0; id < 20; id += 1) client.request(id, 'status.get', params);
    await settled(() => test.contexts.length);
    dawdler.sendText('{');
    await dawdler.closed();
    client.resume();
    await client.next((message) => message.data.id === 19, 20_000);
    expect(client.messages.filter((message) => message.type === 'error')).toStrictEqual([]);
  });

  it('may have a hundred streams waiting without a word of warning', async () => {
    const warnings: Error[] = [];
    const listen = (warning: Error): void => {
      warnings.push(warning);
    };
    process.on('warning', listen);
    await using test = await startTestServer();
    await using client = await RawClient.greet(test.socket);
    client.pause();
    for (let id = 0; id < 100; id += 1) client.request(id, 'completion.create', { count: 4, size: 64 * 1024 });
    await settled(test.chunks);
    client.resume();
    await until('all streams end', () => client.messages.filter((one) => one.type === 'reply').length === 100, 20_000);
    process.off('warning', listen);
    expect(warnings).toStrictEqual([]);
  });

  it('that vanishes has its streams aborted', async () => {
    await using test = await startTestServer();
    const client = await RawClient.greet(test.socket);
    client.pause();
    client.request(1, 'completion.create', { count: 1000, size: MEGABYTE / 4 });
    await settled(test.chunks);
    client.destroy();
    await until('the stream is aborted', () => test.contexts[0]?.signal.aborted);
    await until('it is gone', () => test.server.connections === 0);
  });
});
