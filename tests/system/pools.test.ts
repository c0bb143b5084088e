/**
 * Pools from end to end: ten keys feel like one, across a restart, and everybody sees why one does
 * not serve.
 */

import { utimes } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import type { Aipass, Events } from '../../src/client/index.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { completionOf, refusalOf, type Replier } from '../support/loopback-provider.ts';
import { until } from '../support/until.ts';
import { createTestDaemon, type TestDaemon } from '../support/test-daemon.ts';

const CHAT = { model: 'm-1', messages: [{ role: 'user', content: 'hello' }] };

/** Returns `.env` lines for a number of keys of the provider "local", and their values. */
function localKeys(count: number): { readonly variables: Record<string, string>; readonly ids: string[] } {
  const ids = Array.from({ length: count }, (_, index) =>
    index === 0 ? 'LOCAL_API_KEY' : `LOCAL_API_KEY_${index + 1}`,
  );
  return { ids, variables: Object.fromEntries(ids.map((id, index) => [id, `lk-pool-value-${index + 1}`])) };
}

/** Starts a daemon with a number of keys, each with the same settings. */
async function startPool(count: number, settings: object = {}, provider: object = {}): Promise<TestDaemon> {
  const { ids, variables } = localKeys(count);
  const running = await createTestDaemon({
    local: { keys: Object.fromEntries(ids.map((id) => [id, settings])), ...provider },
  });
  await running.home.writeKeys(variables);
  const aipass = await running.connect();
  await until('the keys are there', async () => (await aipass.pools('local'))[0]?.keys.length === count);
  return running;
}

/** Answers as a provider does that gives each key a number of calls, and then refuses it. */
function limitPerKey(limit: number, seen: Map<string, number>): Replier {
  return ({ key = '' }) => {
    const used = (seen.get(key) ?? 0) + 1;
    if (used > limit) return refusalOf(429, 'the day of this key is over', { 'retry-after': '3600' });
    seen.set(key, used);
    return completionOf('pong');
  };
}

/** Makes a number of calls from 32 callers at once; returns how many failed. */
async function callAtOnce(running: TestDaemon, calls: number): Promise<unknown[]> {
  const callers = await Promise.all(Array.from({ length: 32 }, (_, index) => running.connect(`caller ${index}`)));
  const errors: unknown[] = [];
  let left = calls;
  const work = async (aipass: Aipass): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await aipass.complete(CHAT).catch((error: unknown) => errors.push(error));
    }
  };
  await Promise.all(callers.map(work));
  for (const caller of callers) await caller.close();
  return errors;
}

/** Counts the completions that the provider was asked for; the list of prices is another matter. */
function chatsOf({ provider }: TestDaemon): number {
  return provider.requests.filter(({ path }) => path.endsWith('/chat/completions')).length;
}

/** Returns a zone whose midnight is hours away, so that no day ends during the test. */
function zoneAwayFromMidnight(): { readonly zone: string; readonly endsAt: number } {
  const now = new Date();
  const hour = now.getUTCHours();
  const isNear = hour === 23 || hour === 0;
  const day = Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate());
  // Etc/GMT-12 is twelve hours ahead of UTC: its day ends at noon UTC.
  const noon = day + (hour < 12 ? 12 : 36) * 3_600_000;
  return isNear ? { zone: 'Etc/GMT-12', endsAt: noon } : { zone: 'UTC', endsAt: day + 86_400_000 };
}

describe('ten keys of a thousand calls a day', () => {
  test('serve ten thousand calls of 32 callers at once, across a restart, and then say when they are back', async () => {
    const { zone, endsAt } = zoneAwayFromMidnight();
    await using running = await startPool(10, { quotas: [{ calls: 1000, per: 'day', zone }] });
    const seen = new Map<string, number>();
    running.provider.answerWith(limitPerKey(1000, seen));

    expect(await callAtOnce(running, 5000)).toEqual([]);
    await running.daemon.stop();
    running.daemon = await DaemonProcess.start(running.home);
    expect(await callAtOnce(running, 5000)).toEqual([]);

    expect([...seen.values()]).toEqual(Array.from({ length: 10 }, () => 1000));
    expect(chatsOf(running)).toBe(10_000);
    const aipass = await running.connect();
    const error: unknown = await aipass.complete(CHAT).catch((failure: unknown) => failure);
    const leftMs = endsAt - Date.now();
    expect(error).toMatchObject({ code: 'POOL_EXHAUSTED', message: expect.stringContaining('LOCAL_API_KEY_10') });
    expect(error).toHaveProperty('retryAfterMs', expect.closeTo(leftMs, -4));
    expect(chatsOf(running)).toBe(10_000);
  }, 120_000);
});

describe('a limit that only the provider knows', () => {
  test('reaches no caller while one key is left, and cools each key down once', async () => {
    await using running = await startPool(4);
    const aipass = await running.connect();
    const cooling: Events['key-cooling-down'][] = [];
    const exhausted: Events['pool-exhausted'][] = [];
    aipass.on('key-cooling-down', (event) => cooling.push(event));
    aipass.on('pool-exhausted', (event) => exhausted.push(event));
    await aipass.status();
    const seen = new Map<string, number>();
    running.provider.answerWith(limitPerKey(25, seen));
    expect(await callAtOnce(running, 100)).toEqual([]);
    await expect(aipass.complete(CHAT)).rejects.toMatchObject({ code: 'POOL_EXHAUSTED' });
    await until('the events are there', () => exhausted.length === 1 && cooling.length === 4);
    expect(new Set(cooling.map(({ keyId }) => keyId)).size).toBe(4);
    expect(cooling[0]?.cooldown).toMatchObject({ reason: 'rate-limit', source: 'header' });
  });
});

test('a key that is not accepted is out for everybody until its file changes, also after a restart', async () => {
  await using running = await startPool(2);
  running.provider.answerWith(({ key }) =>
    key === 'lk-pool-value-1' ? refusalOf(401, 'wrong key') : completionOf('pong'),
  );
  let aipass = await running.connect();
  for (let call = 0; call < 4; call += 1) expect((await aipass.complete(CHAT)).keyId).toBe('LOCAL_API_KEY_2');
  expect(await aipass.key('local')).toBe('lk-pool-value-2');
  await running.daemon.stop();
  running.daemon = await DaemonProcess.start(running.home);
  aipass = await running.connect();
  const states = async (): Promise<unknown> => (await aipass.pools('local'))[0]?.keys.map(({ state }) => state);
  expect(await states()).toEqual(['quarantined', 'ready']);
  expect((await aipass.status()).pools.find(({ provider }) => provider === 'local')?.keys[0]).toMatchObject({
    state: 'quarantined',
  });

  // The provider has no free check: saving the file as it is has the key tried again, by one call.
  const checked = await running.cli(['pool', 'local', '--check']);
  expect(checked.stdout).toMatch(/LOCAL_API_KEY .*\.env/);
  const later = new Date(Date.now() + 5000);
  await utimes(running.home.paths.envFile, later, later);
  await until('the key may be tried', async () => JSON.stringify(await states()) === '["half-open","ready"]');
  for (let call = 0; call < 4; call += 1) expect((await aipass.complete(CHAT)).keyId).toBe('LOCAL_API_KEY_2');
  expect(await states()).toEqual(['quarantined', 'ready']);

  await running.home.writeKeys({ LOCAL_API_KEY: 'lk-pool-value-3', LOCAL_API_KEY_2: 'lk-pool-value-2' });
  await until('the new key serves', async () => (await aipass.complete(CHAT)).keyId === 'LOCAL_API_KEY');
  expect(await states()).toEqual(['ready', 'ready']);
});

test('a stream that fails before its first byte goes on with the next key, one that has begun does not', async () => {
  await using running = await startPool(3);
  const aipass = await running.connect();
  running.provider.queue({ kind: 'events', events: [{ error: { message: 'limited', code: 429 } }] });
  const pieces: unknown[] = [];
  for await (const { content } of aipass.stream(CHAT)) pieces.push(content);
  expect(pieces.join('')).toContain('pong');
  expect(running.provider.requests.map(({ key }) => key)).toEqual(['lk-pool-value-1', 'lk-pool-value-2']);
});

test('a request falls back to another model, and to another provider; the command line says who answered', async () => {
  await using running = await createTestDaemon({ fallbacks: [{ provider: 'groq', model: 'x' }, { model: 'm-2' }] });
  const aipass = await running.connect();
  running.provider.answerWith(({ body }) =>
    JSON.stringify(body).includes('"m-1"') ? refusalOf(503, 'overloaded') : completionOf('from the other one'),
  );
  const result = await aipass.complete({ ...CHAT, fallbacks: [{ provider: 'nobody', model: 'x' }, 'm-2'] });
  expect(result.content).toBe('from the other one');
  expect(running.provider.requests.at(-1)?.body).not.toHaveProperty('fallbacks');

  const note = 'answered by local, model m-2 (a fallback)\n';
  const called = { code: 0, stdout: 'from the other one\n', stderr: note };
  expect(await running.cli(['call', 'hello', '-m', 'm-1'])).toMatchObject(called);
  expect(await running.cli(['call', 'hello', '-m', 'm-1', '--stream'])).toMatchObject(called);
});

test('a caller may wait for a key', async () => {
  await using running = await startPool(1);
  const aipass = await running.connect();
  running.provider.queue(refusalOf(429, 'slow down', { 'retry-after': '1' }));
  expect((await aipass.complete({ ...CHAT, maxWaitMs: 10_000 })).content).toBe('pong');
});

test('keys lent to other programs are theirs until they say how it went, or are gone', async () => {
  await using running = await startPool(2, { maxInFlight: 1 });
  const [one, other] = [await running.connect('one'), await running.connect('other')];
  const first = await one.request('pool.lease', { provider: 'local' });
  const second = await one.request('pool.lease', { provider: 'local' });
  expect(new Set([first.key, second.key])).toEqual(new Set(['lk-pool-value-1', 'lk-pool-value-2']));
  await expect(other.request('pool.lease', { provider: 'local' })).rejects.toMatchObject({ code: 'POOL_EXHAUSTED' });
  // Nobody settles for another, and nobody twice.
  expect(await other.request('pool.settle', { leaseId: first.leaseId, outcome: 'rejected' })).toEqual({
    settled: false,
  });
  const report = { leaseId: first.leaseId, outcome: 'limited', retryAfterMs: 60_000 } as const;
  expect(await one.request('pool.settle', report)).toEqual({ settled: true, next: 'another-key' });
  expect(await one.request('pool.settle', report)).toEqual({ settled: false });
  const waiting = other.request('pool.lease', { provider: 'local', maxWaitMs: 10_000 });
  await one.close();
  expect((await waiting).keyId).toBe(second.keyId);
});

test('a call with a lent key is recorded however it ends, also where its client is gone or found no key', async () => {
  await using running = await startPool(1, { maxInFlight: 1 });
  const [one, other, last] = [await running.connect('one'), await running.connect('other'), await running.connect()];
  await one.request('pool.lease', { provider: 'local', model: 'm-1' });
  await expect(other.request('pool.lease', { provider: 'local' })).rejects.toMatchObject({ code: 'POOL_EXHAUSTED' });
  await one.close();
  const { leaseId } = await other.request('pool.lease', { provider: 'local', maxWaitMs: 10_000 });
  await other.request('pool.settle', { leaseId, outcome: 'succeeded' });
  const { events } = await last.usage.events({});
  expect(events.toReversed()).toMatchObject([
    { operation: 'pool.call', caller: 'other', keyId: null, status: 'reach_limit', errorCode: 'POOL_EXHAUSTED' },
    {
      operation: 'pool.call',
      caller: 'one',
      keyId: 'LOCAL_API_KEY',
      model: 'm-1',
      status: 'failed',
      errorCode: 'CANCELLED',
    },
    { operation: 'pool.call', caller: 'other', keyId: 'LOCAL_API_KEY', status: 'success', errorCode: null },
  ]);
});

test('a pooled client rotates keys through the daemon', async () => {
  await using running = await startPool(2);
  const aipass = await running.connect();
  const api = aipass.pooled('local', (key) => ({
    ask(): string {
      if (key === 'lk-pool-value-1') throw Object.assign(new Error('quota'), { status: 429 });
      return key;
    },
  }));
  expect([await api.ask(), await api.ask()]).toEqual(['lk-pool-value-2', 'lk-pool-value-2']);
  const keys = (await aipass.pools('local'))[0]?.keys;
  expect(keys).toMatchObject([{ state: 'cooling-down' }, { state: 'ready', inFlight: 0, uses: 2 }]);
});

test('a pooled client hands on what the provider says of its limit', async () => {
  await using running = await startPool(2);
  const aipass = await running.connect();
  const headers = new Headers({ 'retry-after': '120' });
  const api = aipass.pooled('local', (key) => ({
    ask(): string {
      if (key === 'lk-pool-value-1') throw Object.assign(new Error('slow down'), { status: 429, headers });
      return key;
    },
  }));
  expect(await api.ask()).toBe('lk-pool-value-2');
  const limited = (await aipass.pools('local'))[0]?.keys[0];
  expect(limited?.cooldownLeftMs).toBeGreaterThan(110_000);
});

describe('aipassd pool', () => {
  test('shows, checks and explains, masked', async () => {
    await using running = await startPool(2, {}, { keyCheck: { url: 'http://127.0.0.1:9/check' } });
    running.provider.queue(refusalOf(429, 'slow down', { 'retry-after': '600' }));
    await (await running.connect()).complete(CHAT);

    const shown = await running.cli(['pool', 'local']);
    expect(shown.code).toBe(0);
    expect(shown.stdout).toMatch(/LOCAL_API_KEY +lk-poo\*{4}ue-1 +cooling-down.*cools down until .* left/);
    const explained = await running.cli(['pool', 'explain', 'local', '--model', 'm-1']);
    expect(explained.stdout).toContain('LOCAL_API_KEY_2 serves next');
    const json: unknown = JSON.parse((await running.cli(['pool', '--json'])).stdout);
    expect(json).toMatchObject([{ provider: 'local', keys: [{ state: 'cooling-down' }, { state: 'ready' }] }]);
    const checked = await running.cli(['pool', 'local', '--check']);
    expect(checked.code).toBe(2);
    expect(checked.stdout.split('\n').filter((line) => line.includes('unknown'))).toHaveLength(2);
    for (const { stdout, stderr } of [shown, explained, checked])
      expect(stdout + stderr).not.toContain('lk-pool-value');
    expect((await running.cli(['pool', 'explain'])).code).toBe(1);
  });

  test('puts a key back to work whose check passes', async () => {
    await using running = await createTestDaemon();
    const check = new URL('check', `${running.provider.baseUrl}/`);
    await running.home.writeConfig({
      defaultProvider: 'local',
      providers: { local: { baseUrl: running.provider.baseUrl, keyCheck: { url: check.href } } },
    });
    await running.daemon.stop();
    running.daemon = await DaemonProcess.start(running.home);
    running.provider.route(check.pathname, { kind: 'json', body: { ok: true } });
    running.provider.queue(refusalOf(401, 'not yet'));
    const aipass = await running.connect();
    await expect(aipass.complete(CHAT)).rejects.toMatchObject({ code: 'PROVIDER_REJECTED' });
    await expect(aipass.complete(CHAT)).rejects.toMatchObject({ code: 'POOL_EXHAUSTED' });
    expect((await running.cli(['pool', 'local', '--check'])).stdout).toContain('valid: local accepts it');
    expect((await aipass.complete(CHAT)).content).toBe('pong');
  });
});
