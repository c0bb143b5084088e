import { describe, expect, test } from 'vitest';
import { AipassError } from '../../../src/base/errors.ts';
import type { KeyEntry } from '../../../src/pools/pool-key.ts';
import { Pools, type PoolsDeps } from '../../../src/pools/pools.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { entries, entry, keyId, refused, SUCCEEDED } from '../../support/pool-fixture.ts';

/** Opens the pools of one provider, `acme`, whose keys a test may change. */
function openPools(keys: KeyEntry[], deps: Partial<PoolsDeps> = {}): { pools: Pools; clock: ManualClock } {
  const clock = new ManualClock('2026-06-15T12:00:00Z');
  const pools = new Pools({
    clock,
    random: () => 0,
    emit: () => {},
    onChange: () => {},
    saved: undefined,
    settingsOf: (provider) => {
      if (provider !== 'acme') throw new AipassError('NOT_FOUND', 'nobody knows this provider');
      return { needsKey: true };
    },
    keysOf: () => keys,
    whyNone: () => new AipassError('NOT_FOUND', 'there is no key for acme'),
    ...deps,
  });
  return { pools, clock };
}

describe('a caller that waits for a key', () => {
  test('gets it as soon as another caller is done', async () => {
    const { pools } = openPools([entry(1, { maxInFlight: 1 })]);
    const first = pools.lease({ provider: 'acme' });
    const second = pools.acquire({ provider: 'acme' }, { maxWaitMs: 5000 });
    first.settle(SUCCEEDED);
    expect((await second).keyId).toBe(keyId(1));
  });

  test('gets it when the cooldown is over, though nobody asks meanwhile', async () => {
    const { pools, clock } = openPools(entries(1));
    pools.lease({ provider: 'acme' }).settle(refused(429, { 'retry-after': '3' }));
    const waiting = pools.acquire({ provider: 'acme' }, { maxWaitMs: 5000 });
    clock.advance(3000);
    expect((await waiting).keyId).toBe(keyId(1));
  });

  test('is refused at once when no key comes back in time', async () => {
    const { pools, clock } = openPools(entries(1));
    pools.lease({ provider: 'acme' }).settle(refused(429, { 'retry-after': '30' }));
    await expect(pools.acquire({ provider: 'acme' }, { maxWaitMs: 5000 })).rejects.toMatchObject({
      code: 'POOL_EXHAUSTED',
      retryAfterMs: 30_000,
    });
    expect(clock.waits.length).toBeLessThanOrEqual(1);
  });

  test('is refused when its time is up', async () => {
    const { pools, clock } = openPools([entry(1, { maxInFlight: 1 })]);
    pools.lease({ provider: 'acme' });
    const waiting = pools.acquire({ provider: 'acme' }, { maxWaitMs: 100_000 });
    clock.advance(100_000);
    await expect(waiting).rejects.toMatchObject({ code: 'POOL_EXHAUSTED' });
  });

  test('is served in the order of coming, and others may pass whom another model keeps waiting', async () => {
    const { pools } = openPools([
      entry(1, { maxInFlight: 1, models: ['a'] }),
      entry(2, { maxInFlight: 1, models: ['b'] }),
    ]);
    const held = [pools.lease({ provider: 'acme', model: 'a' }), pools.lease({ provider: 'acme', model: 'b' })];
    const order: string[] = [];
    const wait = async (name: string, model: string): Promise<void> => {
      const lease = await pools.acquire({ provider: 'acme', model }, { maxWaitMs: 5000 });
      order.push(name);
      lease.settle(SUCCEEDED);
    };
    const waits = [wait('a1', 'a'), wait('a2', 'a'), wait('b1', 'b')];
    expect(pools.describe('acme').waiting).toBe(3);
    held[1]?.settle(SUCCEEDED);
    await waits[2];
    held[0]?.settle(SUCCEEDED);
    await Promise.all(waits);
    expect(order).toEqual(['b1', 'a1', 'a2']);
  });

  test('is not kept out by one with many requests: callers take turns', async () => {
    const { pools } = openPools([entry(1, { maxInFlight: 1 })]);
    const held = pools.lease({ provider: 'acme' });
    const order: string[] = [];
    const wait = async (caller: string, program: string): Promise<void> => {
      const lease = await pools.acquire({ provider: 'acme', caller, program }, { maxWaitMs: 5000 });
      order.push(`${caller} ${program}`);
      lease.settle(SUCCEEDED);
    };
    const waits = [
      ...Array.from({ length: 50 }, () => wait('1', 'greedy')),
      ...Array.from({ length: 50 }, (_, number) => wait('1', `greedy ${number}`)),
      wait('1', 'modest'),
      wait('2', 'other'),
      wait('2', 'other'),
    ];
    held.settle(SUCCEEDED);
    await Promise.all(waits);
    expect(order.lastIndexOf('2 other')).toBeLessThan(5);
    expect(order.indexOf('1 modest')).toBeLessThan(60);
    expect(order).toHaveLength(103);
  });

  test('may leave, and does when all stops', async () => {
    const { pools, clock } = openPools([entry(1, { maxInFlight: 1 })]);
    pools.lease({ provider: 'acme' });
    const leaving = new AbortController();
    const left = pools.acquire({ provider: 'acme' }, { maxWaitMs: 5000, signal: leaving.signal });
    const stopped = pools.acquire({ provider: 'acme' }, { maxWaitMs: 5000 });
    leaving.abort();
    await expect(left).rejects.toMatchObject({ code: 'CANCELLED' });
    pools.stop();
    await expect(stopped).rejects.toMatchObject({ code: 'CANCELLED' });
    await expect(pools.acquire({ provider: 'acme' }, { maxWaitMs: 10, signal: leaving.signal })).rejects.toMatchObject({
      code: 'CANCELLED',
    });
    expect(clock.waits.length).toBe(0);
  });

  test('is not kept waiting for a provider without keys', async () => {
    await expect(openPools([]).pools.acquire({ provider: 'acme' }, { maxWaitMs: 5000 })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
  });
});

test('a provider that nobody knows leaves no trace', () => {
  const { pools } = openPools(entries(1));
  expect(() => pools.lease({ provider: 'other' })).toThrow('nobody knows');
  expect(Object.keys(pools.save())).toEqual([]);
});

test('keys that the vault finds later join, and those that it loses leave', () => {
  const keys = entries(1);
  const { pools } = openPools(keys);
  pools.lease({ provider: 'acme' }).settle(refused(401));
  keys.push(entry(2));
  pools.keysChanged();
  expect(pools.lease({ provider: 'acme' }).keyId).toBe(keyId(2));
  keys.pop();
  pools.keysChanged();
  expect(() => pools.lease({ provider: 'acme' })).toThrow('no key of acme is free');
  expect(pools.firstUsable('acme', keys)).toBeUndefined();
  expect(pools.firstUsable('acme', [{ keyId: keyId(2) }])).toBeUndefined();
});

test('what was saved is taken up again, of providers that were not asked for too', () => {
  const { pools } = openPools(entries(1));
  pools.lease({ provider: 'acme' }).settle(refused(429, { 'retry-after': '60' }));
  const saved: unknown = JSON.parse(JSON.stringify(pools.save()));
  const { pools: idle } = openPools(entries(1), { saved });
  const { pools: again } = openPools(entries(1), { saved: JSON.parse(JSON.stringify(idle.save())) });
  expect(() => again.lease({ provider: 'acme' })).toThrow('cools down until');
});

test.each([null, 'text', [], { acme: 7 }, { acme: { keys: { ACME_API_KEY: { uses: -1 } }, accounts: { x: null } } }])(
  'a saved state of %j is no reason not to start',
  (saved) => {
    expect(openPools(entries(1), { saved }).pools.lease({ provider: 'acme' }).keyId).toBe(keyId(1));
  },
);

describe('explaining a pool', () => {
  test('says that calls go without a key where the provider needs none and has none', () => {
    expect(openPools([], { settingsOf: () => ({ needsKey: false }) }).pools.explain('acme')).toMatchObject({
      next: null,
      keyless: true,
    });
    expect(openPools([entry(1)], { settingsOf: () => ({ needsKey: false }) }).pools.explain('acme')).toMatchObject({
      keyless: false,
    });
    expect(openPools([]).pools.explain('acme')).toMatchObject({ next: null, keyless: false });
  });

  test('and leasing from it follow a change of whether its provider needs a key', () => {
    const settings = { needsKey: true };
    const { pools } = openPools([], { settingsOf: () => ({ ...settings }) });
    expect(() => pools.lease({ provider: 'acme' })).toThrow('no key');
    settings.needsKey = false;
    expect(pools.lease({ provider: 'acme' }).keyId).toBeNull();
    expect(pools.explain('acme').keyless).toBe(true);
  });

  test('says of a refused key that nobody can check for free what brings it back', () => {
    const { pools } = openPools([{ ...entry(1), uncheckable: true }]);
    pools.lease({ provider: 'acme' }).settle(refused(401));
    expect(pools.explain('acme').keys[0]?.why).toMatch(/401.*no free check/);
    expect(() => pools.lease({ provider: 'acme' })).toThrow(
      expect.objectContaining({ hint: expect.stringContaining('.env') }),
    );
  });

  test('names the key that serves next and why each other one would not, and changes nothing', () => {
    const { pools } = openPools([
      entry(1),
      entry(2),
      entry(3),
      entry(4, { models: ['only-this'] }),
      entry(5, {}, 'r', 'sk-test-value-1'),
    ]);
    pools.lease({ provider: 'acme' }).settle(refused(429, { 'retry-after': '60' }));
    pools.lease({ provider: 'acme' }).settle(refused(401));
    const explanation = pools.explain('acme', 'gpt');
    expect(explanation.next).toBe(keyId(3));
    expect(Object.fromEntries(explanation.keys.map((key) => [key.keyId, key.why]))).toEqual({
      [keyId(1)]: expect.stringContaining('2026-06-15T12:01:00.000Z'),
      [keyId(2)]: expect.stringMatching(/401.*or a check passes/),
      [keyId(3)]: expect.stringContaining('serves next'),
      [keyId(4)]: 'is only for only-this',
      [keyId(5)]: expect.stringContaining(keyId(1)),
    });
    expect(pools.explain('acme', 'gpt')).toEqual(explanation);
    expect(pools.lease({ provider: 'acme', model: 'gpt' }).keyId).toBe(keyId(3));
  });

  test('says when the first key is back where none is free', () => {
    const { pools } = openPools(entries(1));
    pools.lease({ provider: 'acme' }).settle(refused(429, { 'retry-after': '60' }));
    expect(pools.explain('acme')).toMatchObject({ next: null, retryAfterMs: 60_000 });
  });
});

test('describing a pool shows states, uses and windows, and no value', () => {
  const { pools } = openPools([entry(1, { quotas: [{ calls: 10, per: 'day', zone: 'UTC' }] }), entry(2)]);
  const headers = { 'x-ratelimit-limit-requests': '60', 'x-ratelimit-remaining-requests': '59' };
  pools.lease({ provider: 'acme' }).settle({ kind: 'succeeded', headers, latencyMs: 12 });
  pools.lease({ provider: 'acme' }).settle(refused(429, { 'retry-after': '60' }));
  const info = pools.describe('acme');
  expect(info.keys[0]).toMatchObject({
    state: 'ready',
    usesToday: 1,
    uses: 1,
    latencyMs: 12,
    windows: [{ name: 'requests', limit: 60, remaining: 59, used: 1, percent: 1.7 }],
    quotas: [{ unit: 'calls', limit: 10, used: 1 }],
  });
  expect(info.keys[1]).toMatchObject({
    state: 'cooling-down',
    cooldownLeftMs: 60_000,
    cooldowns: [{ scope: 'key', source: 'header' }],
  });
  expect(JSON.stringify(info)).not.toContain('sk-test-value');
});

test('a key that is half-open is used for other requests only where no key is ready', () => {
  const keys = entries(2);
  const { pools, clock } = openPools(keys);
  expect(pools.firstUsable('acme', keys)?.keyId).toBe(keyId(1));
  pools.lease({ provider: 'acme' }).settle(refused(429, { 'retry-after': '3' }));
  clock.advance(3000);
  const half = pools.describe('acme').keys.find(({ state }) => state === 'half-open');
  expect(half?.keyId).toBe(keyId(1));
  expect(pools.firstUsable('acme', keys)?.keyId).toBe(keyId(2));
  expect(pools.firstUsable('acme', keys.slice(0, 1))?.keyId).toBe(keyId(1));
});

test('a key whose cooldown ends with a check is reported to whoever listens, and to nobody after that', () => {
  const { pools, clock } = openPools(entries(1));
  const asked: (readonly [string, string])[] = [];
  const stop = pools.onCheckNeeded((provider, id) => asked.push([provider, id]));
  const runOutOfCredit = (): void => {
    pools.lease({ provider: 'acme' }).settle(refused(402));
    clock.advance(3_600_000);
  };
  runOutOfCredit();
  expect(asked).toEqual([['acme', keyId(1)]]);
  pools.checked('acme', keyId(1), 'r1', 'valid', 200);
  stop();
  runOutOfCredit();
  expect(asked).toHaveLength(1);
});
