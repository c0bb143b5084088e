import { existsSync, lstatSync, mkdirSync, readdirSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname } from 'node:path';
import { expect, it } from 'vitest';
import { SocketGuard } from '../../../src/ipc/socket-file.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { RawClient } from '../../support/raw-client.ts';
import { startTestServer, type TestServer } from '../../support/test-server.ts';
import { until } from '../../support/until.ts';

/** Time between two checks of the guard. */
const CHECK_MS = 1000;

/** Starts a guard over a server; `lost` lists what it reported. */
function guard(test: TestServer): { clock: ManualClock; lost: string[]; stop: () => Promise<void> } {
  const clock = new ManualClock();
  const lost: string[] = [];
  const { socket: path, logger, server } = test;
  const watch = new SocketGuard({
    path,
    clock,
    logger,
    restart: () => server.restart(),
    onLost: (problem) => lost.push(problem),
  });
  return { clock, lost, stop: watch.start() };
}

/** Asks over a connection of its own, which only our server answers. */
async function isServed(path: string): Promise<boolean> {
  await using client = await RawClient.greet(path);
  return (await client.ask(1, 'status.get')).type === 'reply';
}

it('a socket that was removed is made anew within a second, for its owner only, and connections go on', async () => {
  await using test = await startTestServer();
  const { clock, lost, stop } = guard(test);
  await using before = await RawClient.greet(test.socket);
  unlinkSync(test.socket);
  clock.advance(CHECK_MS - 1);
  expect(existsSync(test.socket)).toBe(false);
  clock.advance(1);
  await until('it is told', () => lost.length === 1);
  expect(lost).toEqual(['the socket was removed']);
  expect(lstatSync(test.socket).mode & 0o777).toBe(0o600);
  expect(await isServed(test.socket)).toBe(true);
  expect(await before.ask(1, 'status.get')).toMatchObject({ type: 'reply' });
  // What was made anew is ours: nothing is made again.
  const made = lstatSync(test.socket).ino;
  clock.advance(5 * CHECK_MS);
  expect(lstatSync(test.socket).ino).toBe(made);
  expect(lost).toHaveLength(1);
  await stop();
});

it('a socket that somebody else put in the place of ours is reported and replaced', async () => {
  await using test = await startTestServer();
  const { clock, lost, stop } = guard(test);
  unlinkSync(test.socket);
  const thief = createServer().listen(test.socket);
  await until('the thief listens', () => thief.listening);
  clock.advance(CHECK_MS);
  await until('it is told', () => lost.length === 1);
  expect(lost).toEqual([expect.stringContaining('another socket')]);
  expect(test.logger.lines).toContainEqual(expect.objectContaining({ level: 'error' }));
  expect(await isServed(test.socket)).toBe(true);
  await stop();
  thief.close();
});

it.each([
  ['a file', (path: string) => writeFileSync(path, '')],
  ['nothing, its folder gone', (path: string) => rmSync(dirname(path), { recursive: true })],
])('a socket with %s in its place is made anew', async (_name, put) => {
  await using test = await startTestServer();
  const { clock, lost, stop } = guard(test);
  unlinkSync(test.socket);
  put(test.socket);
  clock.advance(CHECK_MS);
  await until('it is told', () => lost.length === 1);
  expect(await isServed(test.socket)).toBe(true);
  expect(lstatSync(dirname(test.socket)).mode & 0o777).toBe(0o700);
  await stop();
});

it('a socket that cannot be made anew is tried again every minute, and no other is left behind', async () => {
  await using test = await startTestServer();
  const { clock, lost, stop } = guard(test);
  unlinkSync(test.socket);
  mkdirSync(test.socket);
  const failures = () =>
    test.logger.lines.filter((line) => String(line['message']).includes('cannot be created again'));
  for (const times of [1, 2]) {
    clock.advance(CHECK_MS);
    await until('it failed', () => failures().length === times);
  }
  expect(lost).toEqual([]);
  rmSync(test.socket, { recursive: true });
  clock.advance(CHECK_MS);
  await until('it is told', () => lost.length === 1);
  expect(await isServed(test.socket)).toBe(true);
  await test.server.stop(0);
  expect(readdirSync(dirname(test.socket))).toEqual([]);
  await stop();
});
