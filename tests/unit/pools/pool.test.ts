import { describe, expect, test } from 'vitest';
import { AipassError } from '../../../src/base/errors.ts';
import type { KeyLease } from '../../../src/pools/lease.ts';
import { parseSavedPools } from '../../../src/pools/pool-state.ts';
import { describePool, explainPool } from '../../../src/pools/pool-report.ts';
import type { Pool } from '../../../src/pools/pool.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { entries, entry, failed, keyId, openPool, refused, SUCCEEDED } from '../../support/pool-fixture.ts';

/** Leases and settles with a success; returns the key that served. */
function use(pool: Pool, model?: string): string | null {
  const lease = pool.lease({ model });
  lease.settle(SUCCEEDED);
  return lease.keyId;
}

/** Returns the error that a lease meets. */
function leaseError(pool: Pool, model?: string): AipassError {
  try {
    pool.lease({ model });
  } catch (error) {
    if (error instanceof AipassError) return error;
    throw error;
  }
  throw new Error('expected that there is no lease');
}

/** Settles a fresh lease of a certain key with an outcome. */
function fail(pool: Pool, outcome: Parameters<KeyLease['settle']>[0], model?: string): string | null {
  const lease = pool.lease({ model });
  lease.settle(outcome);
  return lease.keyId;
}

describe('an empty pool', () => {
  test('says that there is no key', () => {
    expect(leaseError(openPool([]).pool)).toMatchObject({ code: 'NOT_FOUND' });
  });

  test('of a provider that needs none lends none', () => {
    const lease = openPool([], { needsKey: false }).pool.lease();
    expect([lease.keyId, lease.value]).toEqual([null, null]);
    lease.settle(SUCCEEDED);
  });
});

describe('two variables of one value', () => {
  test('are one key: the first serves, the other is listed as its duplicate', () => {
    const { pool } = openPool([entry(1, {}, 'r', 'same-value'), entry(2, {}, 'r', 'same-value')]);
    expect([use(pool), use(pool)]).toEqual([keyId(1), keyId(1)]);
    expect(pool.registry.unused).toMatchObject([{ kind: 'duplicate', of: keyId(1) }]);
  });
});

describe('a key whose shape belongs to another provider', () => {
  const foreign = { ...entry(1), foreign: 'anthropic' };

  test('is listed, and never leased', () => {
    const { pool } = openPool([foreign, entry(2)]);
    expect([use(pool), use(pool)]).toEqual([keyId(2), keyId(2)]);
    expect(describePool(pool, 0).keys).toMatchObject([{ state: 'ready' }, { keyId: keyId(1), state: 'foreign' }]);
    expect(explainPool(pool, undefined).keys[1]).toMatchObject({ keyId: keyId(1), eligible: false });
  });

  test('that is the only one is the reason why there is none', () => {
    const error = leaseError(openPool([foreign]).pool);
    expect(error).toMatchObject({ code: 'NOT_FOUND', message: expect.stringContaining('anthropic') });
  });
});

describe('a limited key', () => {
  test('is not leased before its cooldown ends, then by one call alone, then as before', () => {
    const { pool, clock, events } = openPool(entries(1));
    fail(pool, refused(429, { 'retry-after': '10' }));
    expect(leaseError(pool)).toMatchObject({ code: 'POOL_EXHAUSTED', retryAfterMs: 10_000 });
    clock.advance(9999);
    expect(leaseError(pool)).toMatchObject({ retryAfterMs: 1 });
    clock.advance(1);
    const probe = pool.lease();
    expect(leaseError(pool)).toMatchObject({ code: 'POOL_EXHAUSTED' });
    probe.settle(SUCCEEDED);
    const [a, b] = [pool.lease(), pool.lease()];
    expect([a.keyId, b.keyId]).toEqual([keyId(1), keyId(1)]);
    expect(events.map(({ kind }) => kind)).toEqual(['key-cooling-down', 'pool-exhausted', 'key-restored']);
  });

  test('cools down for 1 s doubling to 5 min where nobody says how long, and anew after a success', () => {
    const { pool, clock } = openPool(entries(1));
    const waits: number[] = [];
    for (let failures = 0; failures < 11; failures += 1) {
      fail(pool, refused(429));
      const { retryAfterMs = 0 } = leaseError(pool);
      waits.push(retryAfterMs);
      clock.advance(retryAfterMs);
    }
    expect(waits.map((ms) => ms / 1000)).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    use(pool);
    fail(pool, refused(429));
    expect(leaseError(pool)).toMatchObject({ retryAfterMs: 1000 });
  });

  test('counts many calls that meet one limit as one', () => {
    const { pool } = openPool(entries(1));
    const leases = Array.from({ length: 32 }, () => pool.lease());
    for (const lease of leases) lease.settle(refused(429));
    expect(leaseError(pool)).toMatchObject({ retryAfterMs: 1000 });
  });

  test('is not restored by the success of a call that began before the limit', () => {
    const { pool } = openPool(entries(1));
    const [early, limited] = [pool.lease(), pool.lease()];
    limited.settle(refused(429, { 'retry-after': '60' }));
    early.settle(SUCCEEDED);
    expect(leaseError(pool)).toMatchObject({ retryAfterMs: 60_000 });
  });

  test('cools down longer when another of its calls reports a later end', () => {
    const { pool } = openPool(entries(1));
    const [a, b] = [pool.lease(), pool.lease()];
    a.settle(refused(429, { 'retry-after': '5' }));
    b.settle(refused(429, { 'retry-after': '50' }));
    expect(leaseError(pool)).toMatchObject({ retryAfterMs: 50_000 });
  });

  test('whose probe is ended by its caller is probed by the next call', () => {
    const { pool, clock } = openPool(entries(1));
    fail(pool, refused(429, { 'retry-after': '1' }));
    clock.advance(1000);
    fail(pool, { kind: 'cancelled' });
    expect(use(pool)).toBe(keyId(1));
  });

  test('leaves the others alone', () => {
    const { pool } = openPool(entries(3));
    expect(fail(pool, refused(429))).toBe(keyId(1));
    expect([use(pool), use(pool), use(pool)]).toEqual([keyId(2), keyId(3), keyId(2)]);
  });
});

describe('a cooldown of one model', () => {
  test('keeps the key for other models', () => {
    const { pool, clock } = openPool(entries(1), { provider: 'mistral' });
    fail(pool, refused(429, { 'retry-after': '30' }, null, 'mistral'), 'large');
    expect(leaseError(pool, 'large')).toMatchObject({ code: 'POOL_EXHAUSTED', retryAfterMs: 30_000 });
    expect(use(pool, 'small')).toBe(keyId(1));
    expect(use(pool)).toBe(keyId(1));
    clock.advance(30_000);
    const probe = pool.lease({ model: 'large' });
    expect(leaseError(pool, 'large')).toMatchObject({ code: 'POOL_EXHAUSTED' });
    probe.settle(SUCCEEDED);
    expect([use(pool, 'large'), use(pool, 'large')]).toEqual([keyId(1), keyId(1)]);
  });

  test('of ever new models never becomes one of the key, and memory stays bounded', () => {
    const { pool } = openPool(entries(1), { provider: 'mistral' });
    for (let model = 0; model < 200; model += 1) {
      fail(pool, refused(429, { 'retry-after': String(30 + model) }, null, 'mistral'), `m${model}`);
    }
    expect(use(pool, 'other')).toBe(keyId(1));
    expect(leaseError(pool, 'm199')).toMatchObject({ code: 'POOL_EXHAUSTED' });
    // Those that are free the soonest are forgotten.
    expect(leaseError(pool, 'm140')).toMatchObject({ code: 'POOL_EXHAUSTED' });
    expect(use(pool, 'm0')).toBe(keyId(1));
    expect(pool.registry.keys.get(keyId(1))?.billingAccount.models.size).toBe(64);
    fail(pool, refused(429, {}, null, 'mistral'), 'x'.repeat(100_000));
    expect(JSON.stringify(pool.save()).length).toBeLessThan(50_000);
  });
});

describe('keys of one account', () => {
  const keys = [entry(1, { account: 'team' }), entry(2, { account: 'team' }), entry(3)];

  test('cool down together, and one call alone probes for all of them', () => {
    const { pool, clock } = openPool(keys);
    fail(pool, refused(429, { 'retry-after': '10' }));
    expect([use(pool), use(pool)]).toEqual([keyId(3), keyId(3)]);
    clock.advance(10_000);
    const leased = [pool.lease(), pool.lease(), pool.lease()].map((lease) => lease.keyId);
    expect(leased.filter((id) => id !== keyId(3))).toHaveLength(1);
  });

  test('share their quota', () => {
    const quotas = [{ calls: 3, per: 'day', zone: 'UTC' }] as const;
    const { pool } = openPool([entry(1, { account: 'team', quotas }), entry(2, { account: 'team', quotas })]);
    for (let call = 0; call < 3; call += 1) use(pool);
    expect(leaseError(pool)).toMatchObject({ code: 'POOL_EXHAUSTED', retryAfterMs: 12 * 3_600_000 });
  });

  test('serve again when a used-up quota is taken out of the configuration', () => {
    const quotas = [{ calls: 2, per: 'day', zone: 'UTC' }] as const;
    const others = [entry(2, { account: 'team' })];
    const { pool, events } = openPool([entry(1, { account: 'team', quotas }), ...others]);
    use(pool);
    use(pool);
    expect(leaseError(pool).code).toBe('POOL_EXHAUSTED');
    pool.sync([entry(1, { account: 'team' }), ...others]);
    expect(new Set([use(pool), use(pool)])).toEqual(new Set([keyId(1), keyId(2)]));
    expect(events.at(-1)?.kind).toBe('key-restored');
  });

  test('lose the quota of a key that leaves, and get it back with what was counted', () => {
    const quotas = [{ calls: 2, per: 'day', zone: 'UTC' }] as const;
    const limited = entry(1, { account: 'team', quotas });
    const other = entry(2, { account: 'team' });
    const { pool } = openPool([limited, other]);
    use(pool);
    use(pool);
    pool.sync([other]);
    expect(use(pool)).toBe(keyId(2));
    // Each change of a setting is the end of a key and the beginning of another.
    pool.sync([entry(1, { account: 'team', quotas, weight: 2 }), other]);
    expect(leaseError(pool).code).toBe('POOL_EXHAUSTED');
  });

  test('do not share a quarantine, which is one key’s', () => {
    const { pool } = openPool(keys);
    expect(fail(pool, refused(401))).toBe(keyId(1));
    expect(new Set([use(pool), use(pool)])).toEqual(new Set([keyId(2), keyId(3)]));
  });
});

describe('a quarantined key', () => {
  test('is never leased until its file changes, and then by one call first', () => {
    const { pool, clock, events } = openPool(entries(1));
    fail(pool, refused(401));
    clock.advance(30 * 86_400_000);
    const error = leaseError(pool);
    expect(error).toMatchObject({ code: 'POOL_EXHAUSTED', retryAfterMs: undefined });
    pool.sync([entry(1, {}, 'r2')]);
    const probe = pool.lease();
    expect(leaseError(pool).code).toBe('POOL_EXHAUSTED');
    probe.settle(SUCCEEDED);
    expect(events.map(({ kind }) => kind)).toEqual(['key-quarantined', 'pool-exhausted', 'key-restored']);
  });

  test('serves again when a check passes', () => {
    const { pool } = openPool(entries(1));
    fail(pool, refused(401));
    pool.checked(keyId(1), 'r1', 'valid', 200);
    expect(use(pool)).toBe(keyId(1));
  });

  test('is not released by a check of what it was before', () => {
    const { pool } = openPool([entry(1, {}, 'r2')]);
    fail(pool, refused(401));
    pool.checked(keyId(1), 'r1', 'valid', 200);
    expect(leaseError(pool)).toMatchObject({ code: 'POOL_EXHAUSTED' });
  });

  test('is made by a check that fails', () => {
    const { pool } = openPool(entries(2));
    pool.checked(keyId(1), 'r1', 'invalid', 401);
    expect([use(pool), use(pool)]).toEqual([keyId(2), keyId(2)]);
  });
});

describe('a key without credit', () => {
  test('cools down for an hour, then is checked before its next call', () => {
    const checks: string[] = [];
    const { pool, clock } = openPool(entries(1), { requestCheck: (id) => checks.push(id) });
    fail(pool, refused(402));
    clock.advance(3_599_999);
    expect(checks).toEqual([]);
    clock.advance(1);
    expect(checks).toEqual([keyId(1)]);
    expect(leaseError(pool)).toMatchObject({ code: 'POOL_EXHAUSTED' });
    pool.checked(keyId(1), 'r1', 'valid', 200);
    expect(use(pool)).toBe(keyId(1));
  });

  test('cools down for another hour when the call after the check finds none either', () => {
    const { pool, clock } = openPool(entries(1), { requestCheck: () => {} });
    fail(pool, refused(402));
    clock.advance(3_600_000);
    pool.checked(keyId(1), 'r1', 'valid', 200);
    fail(pool, refused(402));
    expect(leaseError(pool)).toMatchObject({ retryAfterMs: 3_600_000 });
  });

  test('is tried by one call when the check never answers', () => {
    const { pool, clock } = openPool(entries(1), { requestCheck: () => {} });
    fail(pool, refused(402));
    clock.advance(3_600_000 + 60_000);
    expect(use(pool)).toBe(keyId(1));
  });
});

describe('the circuit breaker of a provider', () => {
  const UNREACHABLE = failed({ transport: 'unreachable' });

  test('opens after five requests in a row that reach no connection, tries one call after 30 s, and blames no key', () => {
    const { pool, clock } = openPool(entries(2));
    for (let failures = 0; failures < 5; failures += 1) fail(pool, UNREACHABLE, `m${failures}`);
    expect(leaseError(pool, 'any')).toMatchObject({ code: 'PROVIDER_UNAVAILABLE', retryAfterMs: 30_000 });
    expect(describePool(pool, 0)).toMatchObject({ breaker: 'open', cooldowns: [{ scope: 'provider' }] });
    clock.advance(30_000);
    const probe = pool.lease();
    expect(leaseError(pool)).toMatchObject({ code: 'PROVIDER_UNAVAILABLE' });
    probe.settle(SUCCEEDED);
    expect(describePool(pool, 0)).toMatchObject({ breaker: 'closed', cooldowns: [] });
    expect(new Set([use(pool), use(pool)])).toEqual(new Set([keyId(1), keyId(2)]));
  });

  test('opens again when the one call fails', () => {
    const { pool, clock } = openPool(entries(1));
    for (let failures = 0; failures < 5; failures += 1) fail(pool, refused(503));
    clock.advance(30_000);
    fail(pool, refused(503));
    expect(leaseError(pool)).toMatchObject({ code: 'PROVIDER_UNAVAILABLE', retryAfterMs: 30_000 });
  });

  test('counts failures in a row only: any answer begins anew, even a refusal', () => {
    const { pool } = openPool(entries(1));
    for (let round = 0; round < 5; round += 1) {
      for (let failures = 0; failures < 4; failures += 1) fail(pool, failed({ transport: 'timeout' }));
      fail(pool, refused(400));
      for (let failures = 0; failures < 4; failures += 1) fail(pool, UNREACHABLE);
      fail(pool, refused(400));
    }
    expect(use(pool)).toBe(keyId(1));
  });

  test('counts a request once, however often it is tried', () => {
    const { pool } = openPool(entries(1));
    for (let request = 0; request < 4; request += 1) {
      const call = {};
      for (let attempt = 0; attempt < 3; attempt += 1) pool.lease({ model: 'm', call }).settle(refused(502));
    }
    expect(use(pool, 'm')).toBe(keyId(1));
  });

  test('opens for a failing model only, and other models serve', () => {
    const { pool } = openPool(entries(1));
    for (let failures = 0; failures < 5; failures += 1) fail(pool, refused(502), 'bad');
    expect(leaseError(pool, 'bad').message).toContain('bad at acme');
    expect(use(pool, 'good')).toBe(keyId(1));
    expect(describePool(pool, 0)).toMatchObject({
      breaker: 'closed',
      cooldowns: [{ scope: 'provider-model', model: 'bad' }],
    });
  });

  test('opens for the provider when two models fail with no answer between', () => {
    const { pool, clock } = openPool(entries(1));
    for (const model of ['a', 'b']) for (let failures = 0; failures < 5; failures += 1) fail(pool, refused(502), model);
    expect(leaseError(pool, 'c')).toMatchObject({ code: 'PROVIDER_UNAVAILABLE', retryAfterMs: 30_000 });
    clock.advance(30_000);
    expect(use(pool, 'c')).toBe(keyId(1));
    expect(use(pool, 'a')).toBe(keyId(1));

    const { pool: other } = openPool(entries(1));
    for (const model of ['a', 'b']) {
      for (let failures = 0; failures < 5; failures += 1) fail(other, refused(502), model);
      use(other, 'good');
    }
    expect(use(other, 'c')).toBe(keyId(1));
  });

  test('is closed to another caller than the one that alone met all failures', () => {
    const { pool } = openPool(entries(1));
    const failAs = (caller: string, model: string): void => {
      for (let failures = 0; failures < 5; failures += 1) pool.lease({ model, caller }).settle(refused(502));
    };
    for (const model of ['a', 'b']) failAs('1', model);
    for (const model of ['a', 'b', 'c']) {
      expect(() => pool.lease({ model, caller: '1' })).toThrow(AipassError);
      pool.lease({ model, caller: '2' }).settle({ kind: 'cancelled' });
    }
    // Another program of the user tries for itself; its name alone makes it no second user.
    const program = 'other';
    pool.lease({ model: 'b', caller: '1', program }).settle(refused(502));
    expect(() => pool.lease({ model: 'b', caller: '1', program })).toThrow(AipassError);
    pool.lease({ model: 'b', caller: '2' }).settle({ kind: 'cancelled' });
    // Two users that both meet failures open it for everybody.
    pool.lease({ model: 'a', caller: '2' }).settle(refused(502));
    expect(() => pool.lease({ model: 'a', caller: '3' })).toThrow('failed several times in a row');
    pool.lease({ model: 'c', caller: '3' }).settle(SUCCEEDED);
    expect(pool.lease({ model: 'c', caller: '1' }).keyId).toBe(keyId(1));
  });
});

test('one caller’s ever new, endless names of models fill neither the saved state nor the events', () => {
  const { pool, events } = openPool(entries(2, { models: ['only'] }), { provider: 'mistral' });
  const long = 'x'.repeat(1_000_000);
  for (let call = 0; call < 300; call += 1) {
    expect(leaseError(pool, `${long}${call}`).message.length).toBeLessThan(2000);
  }
  const { pool: open, events: others } = openPool(entries(2), { provider: 'mistral' });
  for (let call = 0; call < 300; call += 1) {
    for (const outcome of [refused(429, {}, null, 'mistral'), refused(502), refused(403)]) {
      for (const model of [`m${call}`, `${call}${long}`]) {
        try {
          open.lease({ model, caller: 'greedy' }).settle(outcome);
        } catch (error) {
          if (!(error instanceof AipassError)) throw error;
        }
      }
    }
  }
  expect(JSON.stringify(open.save()).length).toBeLessThan(100_000);
  for (const event of [...events, ...others]) expect(JSON.stringify(event).length).toBeLessThan(1000);
  expect(open.lease({ model: 'usual', caller: 'other' }).keyId).not.toBeNull();
});

describe('a refusal for an unknown reason', () => {
  const UNKNOWN = refused(403, {}, { error: { message: 'This model is not available in your region' } });

  test('takes no key away: for that model it is used after the others, for other models as before', () => {
    const { pool } = openPool(entries(2));
    expect(fail(pool, UNKNOWN, 'm')).toBe(keyId(1));
    expect([use(pool, 'm'), use(pool, 'm')]).toEqual([keyId(2), keyId(2)]);
    expect([use(pool, 'x'), use(pool, 'x')]).toContain(keyId(1));
    for (let call = 0; call < 10; call += 1) fail(pool, UNKNOWN, 'm');
    expect(use(pool, 'm')).not.toBeNull();
  });

  test('has the key checked for free, once a minute at most, and the check decides', () => {
    const checks: string[] = [];
    const { pool, clock } = openPool(entries(1), { requestCheck: (id) => checks.push(id) });
    for (let call = 0; call < 10; call += 1) fail(pool, UNKNOWN, 'm');
    expect(checks).toEqual([keyId(1)]);
    clock.advance(60_000);
    fail(pool, UNKNOWN, 'm');
    expect(checks).toHaveLength(2);
    pool.checked(keyId(1), 'r1', 'invalid', 401);
    expect(leaseError(pool).code).toBe('POOL_EXHAUSTED');
    pool.checked(keyId(1), 'r1', 'valid', 200);
    expect(use(pool)).toBe(keyId(1));
  });
});

describe('a quota', () => {
  const quotas = [{ calls: 2, per: 'day', zone: 'UTC' }] as const;

  test('is known before the provider refuses, and ends with its day', () => {
    const { pool, clock, events } = openPool([entry(1, { quotas })]);
    use(pool);
    use(pool);
    expect(leaseError(pool)).toMatchObject({ retryAfterMs: 12 * 3_600_000 });
    clock.advance(12 * 3_600_000);
    expect(use(pool)).toBe(keyId(1));
    expect(events.map(({ kind }) => kind)).toEqual(['key-cooling-down', 'pool-exhausted', 'key-restored']);
  });

  test('counts calls in flight', () => {
    const { pool } = openPool([entry(1, { quotas })]);
    pool.lease();
    pool.lease();
    expect(leaseError(pool).code).toBe('POOL_EXHAUSTED');
  });

  test('does not count a call that the provider refused to serve', () => {
    const { pool, clock } = openPool([entry(1, { quotas })]);
    fail(pool, refused(429, { 'retry-after': '1' }));
    clock.advance(1000);
    use(pool);
    expect(use(pool)).toBe(keyId(1));
  });

  test('of tokens and dollars counts what calls used', () => {
    const { pool } = openPool([
      entry(1, { quotas: [{ tokens: 100, per: 'hour', zone: 'UTC' }] }),
      entry(2, { quotas: [{ dollars: 0.5, per: 'month', zone: 'UTC' }] }),
    ]);
    pool.lease().settle({ kind: 'succeeded', tokens: 100, costUsd: 1 });
    pool.lease().settle({ kind: 'succeeded', tokens: 10, costUsd: 0.5 });
    expect(leaseError(pool)).toMatchObject({ retryAfterMs: 3_600_000 });
  });

  test('is not counted twice, and never negative, when a lease is settled twice', () => {
    const { pool } = openPool([entry(1, { quotas })]);
    const lease = pool.lease();
    lease.settle(refused(429, { 'retry-after': '1' }));
    lease.settle(refused(429, { 'retry-after': '100' }));
    lease.settle(SUCCEEDED);
    expect(leaseError(pool)).toMatchObject({ retryAfterMs: 1000 });
    expect(pool.registry.keys.get(keyId(1))).toMatchObject({ inFlight: 0, uses: 1 });
  });
});

describe('settings of a key', () => {
  test('cap its calls in flight', () => {
    const { pool } = openPool([entry(1, { maxInFlight: 1 }), entry(2, { maxInFlight: 2 })]);
    const leases = [pool.lease(), pool.lease(), pool.lease()];
    expect(leases.filter((lease) => lease.keyId === keyId(1))).toHaveLength(1);
    expect(leaseError(pool)).toMatchObject({ code: 'POOL_EXHAUSTED', retryAfterMs: 1000 });
    leases[0]?.settle(SUCCEEDED);
    expect(pool.lease().keyId).toBe(leases[0]?.keyId);
  });

  test('are what the hint is about where no key may be used for a model', () => {
    const { pool } = openPool([entry(1, { models: ['a'] }), entry(2, { models: ['a', 'b'] })]);
    expect(leaseError(pool, 'c').hint).toContain('add the model to "models"');
    fail(pool, refused(401), 'b');
    expect(leaseError(pool, 'c').hint).toContain('replace the refused keys');
  });

  test('name the models that it serves; without a model it serves none', () => {
    const { pool } = openPool([entry(1, { models: ['a'] }), entry(2, { models: ['a', 'b'] })]);
    expect(use(pool, 'b')).toBe(keyId(2));
    expect(new Set([use(pool, 'a'), use(pool, 'a')])).toEqual(new Set([keyId(1), keyId(2)]));
    expect(leaseError(pool, 'c').message).toContain('is only for a, b');
    expect(leaseError(pool).code).toBe('POOL_EXHAUSTED');
  });
});

describe('keys that come and go', () => {
  test('a key removed while leased can be settled, and changes nothing', () => {
    const { pool } = openPool(entries(2));
    const lease = pool.lease();
    pool.sync(entries(2).slice(1));
    lease.settle(refused(401));
    expect([use(pool), use(pool)]).toEqual([keyId(2), keyId(2)]);
  });

  test('a key with a new value begins without the cooldowns of the old one', () => {
    const { pool } = openPool(entries(1));
    fail(pool, refused(429, { 'retry-after': '600' }));
    pool.sync([entry(1, {}, 'r2', 'another-value')]);
    const lease = pool.lease();
    expect(lease.value?.reveal()).toBe('another-value');
  });

  test('a key that comes back keeps its cooldown and its quota', () => {
    const quotas = [{ calls: 2, per: 'day', zone: 'UTC' }] as const;
    const { pool } = openPool([entry(1, { quotas }), entry(2)]);
    const used = [use(pool), use(pool), use(pool), use(pool)].filter((id) => id === keyId(1));
    expect(used).toHaveLength(2);
    pool.sync([entry(2)]);
    pool.sync([entry(1, { quotas }), entry(2)]);
    expect([use(pool), use(pool)]).toEqual([keyId(2), keyId(2)]);
  });
});

test('the state of an account that is gone is forgotten after a month', () => {
  const quotas = [{ calls: 2, per: 'day', zone: 'UTC' }] as const;
  const { pool, clock } = openPool([entry(1, { account: 'team', quotas }), entry(2)]);
  use(pool);
  fail(pool, refused(429, { 'retry-after': '600' }));
  pool.sync([]);
  expect(Object.keys(pool.save().accounts)).toEqual(['account team', `key ${keyId(2)}`]);
  clock.advance(33 * 86_400_000);
  expect(pool.save()).toEqual({ keys: {}, accounts: {} });
});

test('a provider whose keys are all switched off is told apart from one without keys', () => {
  const { pool } = openPool(entries(2).map((one) => ({ ...one, isOff: true })));
  expect(leaseError(pool)).toMatchObject({ code: 'NOT_FOUND', message: `${keyId(1)} is switched off` });
  expect(leaseError(pool).hint).toContain('aipassd credential on');
});

describe('a probe that never comes back', () => {
  test('keeps other calls away for a minute, and then gives way to one more', () => {
    const { pool, clock } = openPool(entries(1));
    fail(pool, refused(429, { 'retry-after': '1' }));
    clock.advance(1000);
    const lost = pool.lease();
    clock.advance(59_999);
    expect(leaseError(pool).code).toBe('POOL_EXHAUSTED');
    clock.advance(1);
    const second = pool.lease();
    expect(leaseError(pool).code).toBe('POOL_EXHAUSTED');
    // What comes back late changes nothing for the probe that took its place.
    lost.settle({ kind: 'cancelled' });
    expect(leaseError(pool).code).toBe('POOL_EXHAUSTED');
    second.settle(SUCCEEDED);
    expect(pool.registry.keys.get(keyId(1))?.inFlight).toBe(0);
    expect(use(pool)).toBe(keyId(1));
  });

  test('of one model, or of the provider, gives way as well', () => {
    const { pool, clock } = openPool(entries(1), { provider: 'mistral' });
    fail(pool, refused(429, { 'retry-after': '1' }, null, 'mistral'), 'large');
    clock.advance(1000);
    pool.lease({ model: 'large' });
    clock.advance(60_000);
    expect(use(pool, 'large')).toBe(keyId(1));

    for (let failures = 0; failures < 5; failures += 1) fail(pool, refused(500));
    clock.advance(30_000);
    pool.lease();
    expect(explainPool(pool, undefined)).toMatchObject({ next: null, retryAfterMs: 1000 });
    expect(leaseError(pool)).toMatchObject({ code: 'PROVIDER_UNAVAILABLE', retryAfterMs: 1000 });
    clock.advance(60_000);
    expect(explainPool(pool, undefined)).toMatchObject({ next: keyId(1) });
    expect(use(pool)).toBe(keyId(1));
  });
});

test('absurd counts of a client or a provider use up no quota', () => {
  const { pool } = openPool(entries(1, { quotas: [{ tokens: 1000, dollars: 5, per: 'day', zone: 'UTC' }] }));
  for (const used of [Number.MAX_SAFE_INTEGER, Number.NaN, -1, Number.POSITIVE_INFINITY]) {
    pool.lease().settle({ kind: 'succeeded', tokens: used, costUsd: used });
  }
  pool.lease().settle({ kind: 'succeeded', tokens: 999, costUsd: 4 });
  expect(describePool(pool, 0).keys[0]?.quotas).toMatchObject([{ used: 999 }, { used: 4 }]);
  expect(use(pool)).toBe(keyId(1));
});

describe('a model that cooled down once', () => {
  test('gives way to others, which cool down on their own', () => {
    const { pool, clock } = openPool(entries(1), { provider: 'mistral' });
    for (let model = 0; model < 64; model += 1)
      fail(pool, refused(429, { 'retry-after': '1' }, null, 'mistral'), `model ${model}`);
    clock.advance(3_601_000);
    fail(pool, refused(429, { 'retry-after': '60' }, null, 'mistral'), 'another');
    expect(leaseError(pool, 'another').code).toBe('POOL_EXHAUSTED');
    expect(use(pool, 'large')).toBe(keyId(1));
  });

  test('gives way after a restart too', () => {
    const keys = entries(1);
    const { pool } = openPool(keys, { provider: 'mistral' });
    for (let model = 0; model < 64; model += 1)
      fail(pool, refused(429, { 'retry-after': '1' }, null, 'mistral'), `model ${model}`);
    const later = new ManualClock('2026-06-15T12:00:30Z');
    const { pool: again } = openPool(keys, { provider: 'mistral', clock: later }, pool.save());
    later.advance(3_600_000);
    fail(again, refused(429, { 'retry-after': '60' }, null, 'mistral'), 'another');
    expect(use(again, 'large')).toBe(keyId(1));
  });
});

describe('a call that names the keys that it tried', () => {
  test('does not make the others believe that the pool is exhausted', () => {
    const { pool, events } = openPool(entries(1));
    expect(() => pool.lease({ exclude: new Set([keyId(1)]) })).toThrow('was tried already');
    expect(events).toEqual([]);
    expect(use(pool)).toBe(keyId(1));
  });
});

describe('a limit that is reported late', () => {
  test('does not count again after the key has proved that it serves', () => {
    const { pool, clock } = openPool(entries(1));
    const [first, late] = [pool.lease(), pool.lease()];
    first.settle(refused(429));
    clock.advance(1000);
    use(pool);
    late.settle(refused(429));
    expect(use(pool)).toBe(keyId(1));
  });
});

describe('a clock that jumps', () => {
  test('forward and back leaves no key to be served last for all that time', () => {
    const { pool, clock } = openPool(entries(2));
    use(pool);
    clock.jump(365 * 86_400_000);
    use(pool);
    clock.jump(-365 * 86_400_000);
    const served = Array.from({ length: 20 }, () => use(pool));
    expect(served.filter((id) => id === keyId(2)).length).toBeGreaterThanOrEqual(9);
    expect(served.filter((id) => id === keyId(1)).length).toBeGreaterThanOrEqual(9);
  });

  test('backward does not make a cooldown longer', () => {
    const { pool, clock } = openPool(entries(1));
    fail(pool, refused(429, { 'retry-after': '10' }));
    clock.jump(-7 * 86_400_000);
    expect(leaseError(pool)).toMatchObject({ retryAfterMs: 10_000 });
    clock.advance(10_000);
    expect(use(pool)).toBe(keyId(1));
  });

  test('forward ends cooldowns, whose keys one call probes', () => {
    const { pool, clock } = openPool(entries(1));
    fail(pool, refused(429, { 'retry-after': '600' }));
    clock.jump(86_400_000);
    expect(use(pool)).toBe(keyId(1));
  });

  test('backward over midnight does not give a quota back', () => {
    const quotas = [{ calls: 2, per: 'day', zone: 'UTC' }] as const;
    const { pool, clock } = openPool([entry(1, { quotas })]);
    use(pool);
    use(pool);
    clock.jump(-86_400_000);
    expect(leaseError(pool).code).toBe('POOL_EXHAUSTED');
  });
});

describe('a restart', () => {
  test('under a clock that was set back makes no cooldown longer than it was', () => {
    const keys = entries(1);
    const { pool } = openPool(keys);
    fail(pool, refused(429, { 'retry-after': '5' }));
    const earlier = new ManualClock('2026-06-15T02:00:00Z');
    const { pool: again } = openPool(keys, { clock: earlier }, pool.save());
    expect(leaseError(again)).toMatchObject({ retryAfterMs: 5000 });
    const [cooldown] = describePool(again, 0).keys[0]?.cooldowns ?? [];
    expect(cooldown).toMatchObject({ until: earlier.now() + 5000 });
    earlier.advance(5000);
    expect(use(again)).toBe(keyId(1));
  });

  test('keeps cooldowns, quarantines, quotas and uses', () => {
    const quotas = [{ calls: 2, per: 'day', zone: 'UTC' }] as const;
    const keys = [entry(1), entry(2), entry(3, { quotas }), entry(4)];
    const { pool } = openPool(keys);
    fail(pool, refused(429, { 'retry-after': '600' }));
    fail(pool, refused(401));
    const saved = parseSavedPools(JSON.parse(JSON.stringify({ acme: pool.save() }))).get('acme');
    const again = openPool(keys, {}, saved).pool;
    expect(again.registry.keys.get(keyId(1))?.uses).toBe(1);
    expect(new Set([use(again), use(again), use(again), use(again)])).toEqual(new Set([keyId(3), keyId(4)]));
    expect(again.registry.keys.get(keyId(3))?.billingAccount.isSpent).toBe(true);
  });

  test('releases a quarantine whose file changed meanwhile', () => {
    const { pool } = openPool(entries(1));
    fail(pool, refused(401));
    expect(use(openPool([entry(1, {}, 'r2')], {}, pool.save()).pool)).toBe(keyId(1));
    expect(leaseError(openPool(entries(1), {}, pool.save()).pool).code).toBe('POOL_EXHAUSTED');
  });

  test('under a clock far behind cuts a cooldown to a day', () => {
    const { pool } = openPool(entries(1));
    fail(pool, refused(429, { 'retry-after': '600' }));
    const saved = pool.save();
    const { pool: again, clock } = openPool([], {}, saved);
    clock.jump(-365 * 86_400_000);
    again.sync(entries(1));
    expect(leaseError(again).retryAfterMs).toBeLessThanOrEqual(86_400_000);
  });
});

describe('the error of an exhausted pool', () => {
  test('that was for several models is not that of the next request', () => {
    const { pool } = openPool([entry(1, { models: ['a'], maxInFlight: 1 })]);
    pool.lease({ model: 'a' });
    expect(() => pool.lease({ model: 'a', models: ['b'] })).toThrow('is only for a');
    expect(leaseError(pool, 'a')).toMatchObject({ retryAfterMs: 1000, message: expect.stringContaining('in flight') });
  });

  test('names the keys with their ends, earliest first, and never their values', () => {
    const { pool } = openPool(entries(20));
    for (let key = 20; key >= 1; key -= 1) fail(pool, refused(429, { 'retry-after': String(100 + key) }));
    const { message, retryAfterMs } = leaseError(pool);
    expect(retryAfterMs).toBe(101_000);
    expect(message).toContain('2026-06-15T12:01:41.000Z');
    expect(message).toContain('and 10 more');
    expect(message).not.toContain('sk-test');
    expect(message.length).toBeLessThan(2000);
  });
});
