import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AipassError } from '../../../src/base/errors.ts';
import type { KeyLease, LeaseOutcome } from '../../../src/pools/lease.ts';
import type { PoolStrategy } from '../../../src/protocol/pool.ts';
import type { Pool } from '../../../src/pools/pool.ts';
import { availabilityOf, cooldownsOf } from '../../../src/pools/availability.ts';
import type { KeyEntry } from '../../../src/pools/pool-key.ts';
import { entries, entry, failed, openPool, refused } from '../../support/pool-fixture.ts';
import { numRuns } from '../../support/num-runs.ts';

const strategy = fc.constantFrom<PoolStrategy>('least-used', 'round-robin', 'random', 'weighted', 'priority');

/** Draws numbers in [0, 1) from a seed, the same for the same seed (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Leases a key, or returns the code of the error that says why not. */
function tryLease(pool: Pool, model: string | undefined): KeyLease | string {
  try {
    return pool.lease({ model });
  } catch (error) {
    if (error instanceof AipassError) return error.code;
    throw error;
  }
}

/**
 * Leases a key and keeps the lease; returns what is wrong with it: a key that was not free, or none
 * though one was.
 */
function wrongLease(pool: Pool, model: string | undefined, held: KeyLease[]): string | null {
  const now = pool.advance();
  const keys = [...pool.registry.keys.values()];
  const free = keys.filter((key) => {
    const { at } = availabilityOf(key, { model }, now);
    return at !== null && at <= now;
  });
  const lease = tryLease(pool, model);
  if (typeof lease === 'string')
    return lease === 'POOL_EXHAUSTED' && free.length > 0 ? 'exhausted with free keys' : null;
  held.push(lease);
  return free.some((key) => key.keyId === lease.keyId) ? null : `${lease.keyId ?? 'nothing'} was not free`;
}

/** Returns six keys with settings of every kind, or the first of them. */
function mixedKeys(count: number, revision: string): KeyEntry[] {
  return Array.from({ length: count }, (_, index) =>
    entry(
      index + 1,
      {
        ...(index % 3 === 2 ? { models: ['a', 'b'] } : {}),
        ...(index % 2 === 1 ? { account: 'shared' } : {}),
        ...(index === 4 ? { quotas: [{ calls: 5, tokens: 100, per: 'hour', zone: 'UTC' }] } : {}),
        ...(index === 0 ? { maxInFlight: 2 } : {}),
      },
      revision,
    ),
  );
}

/** Uses a pool of ten keys and returns the order in which they served. */
function orderOf(seed: number): (string | null)[] {
  const { pool } = openPool(entries(10), { strategy: 'random', random: randomOf(seed) });
  return Array.from({ length: 100 }, () => {
    const lease = pool.lease();
    lease.settle(refused(400));
    return lease.keyId;
  });
}

const outcome: fc.Arbitrary<LeaseOutcome> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('succeeded' as const), tokens: fc.nat(50) }) },
  fc
    .record({
      status: fc.constantFrom(400, 401, 402, 403, 404, 408, 422, 429, 429, 429, 500, 503),
      headers: fc.oneof(
        fc.constant({}),
        fc
          .constantFrom('0', '-1', '1', '30', '99999999', 'Mon, 15 Jun 2026 12:00:30 GMT', 'x')
          .map((after) => ({ 'retry-after': after })),
        fc.dictionary(
          fc.constantFrom('retry-after', 'x-ratelimit-reset-requests', 'x-ratelimit-remaining-requests'),
          fc.string(),
        ),
      ),
      body: fc.oneof(fc.constant(null), fc.jsonValue()),
    })
    .map((seen) => failed(seen)),
  fc
    .constantFrom('network' as const, 'timeout' as const, 'unreachable' as const)
    .map((transport) => failed({ transport })),
  fc.constant({ kind: 'cancelled' as const }),
);

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('lease' as const), model: fc.constantFrom(undefined, 'a', 'b', 'c') }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('settle' as const), which: fc.nat(30), outcome }) },
  fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 0, max: 7_200_000 }) }),
  fc.record({ do: fc.constant('jump' as const), ms: fc.integer({ min: -90_000_000, max: 90_000_000 }) }),
  fc.record({ do: fc.constant('sync' as const), keep: fc.nat(6), revision: fc.constantFrom('r1', 'r2') }),
);

test('no key that cools down, is quarantined, used up or at its cap is ever leased, and no counter is ever negative', () => {
  fc.assert(
    fc.property(
      strategy,
      fc.constantFrom('acme', 'mistral'),
      fc.array(step, { maxLength: 120 }),
      (which, provider, steps) => {
        const { pool, clock } = openPool(mixedKeys(6, 'r1'), { strategy: which, provider, random: randomOf(7) });
        const held: KeyLease[] = [];
        for (const each of steps) {
          let wrong: string | null = null;
          if (each.do === 'pass') clock.advance(each.ms);
          else if (each.do === 'jump') clock.jump(each.ms);
          else if (each.do === 'sync') pool.sync(mixedKeys(each.keep, each.revision));
          else if (each.do === 'settle') held.splice(each.which, 1)[0]?.settle(each.outcome);
          else wrong = wrongLease(pool, each.model, held);
          expect(wrong).toBeNull();
          for (const key of pool.registry.keys.values()) {
            expect(key.inFlight).toBeGreaterThanOrEqual(0);
            expect(key.dayUses).toBeGreaterThanOrEqual(0);
            expect(key.inFlight).toBeLessThanOrEqual(key.settings.maxInFlight ?? Number.POSITIVE_INFINITY);
            for (const { used } of key.billingAccount.describeQuotas(clock.now()))
              expect(used).toBeGreaterThanOrEqual(0);
            for (const { until, bound } of cooldownsOf(key, clock.now())) expect(until).toBeLessThanOrEqual(bound);
          }
        }
      },
    ),
    { numRuns: numRuns(100, 1000) },
  );
});

describe('over 10,000 calls no key gets more than 1.05 times its share', () => {
  test.each(['least-used', 'round-robin', 'random', 'weighted', 'priority'] as const)(
    'by %s',
    (which) => {
      fc.assert(
        fc.property(
          fc.integer({ min: 1, max: 40 }),
          fc.integer({ min: 0, max: 50 }),
          fc.integer(),
          (count, most, seed) => {
            const random = randomOf(seed);
            const { pool, clock } = openPool(entries(count), { strategy: which, random });
            const held: KeyLease[] = [];
            for (let call = 0; call < 10_000; call += 1) {
              held.push(pool.lease());
              clock.advance(Math.floor(random() * 10));
              // Between none and `most` calls stay in flight, and end in any order.
              const stay = Math.floor(random() * (most + 1));
              while (held.length > stay)
                held.splice(Math.floor(random() * held.length), 1)[0]?.settle({ kind: 'succeeded' });
            }
            const most105 = (10_000 / count) * 1.05 + 1;
            for (const key of pool.registry.keys.values()) expect(key.uses).toBeLessThanOrEqual(most105);
          },
        ),
        { numRuns: 5 },
      );
    },
    60_000,
  );

  test('by weight, where a share is the weight of the key among all', () => {
    const weights = [1, 2, 3, 0.5, 10];
    const { pool } = openPool(
      weights.map((weight, index) => entry(index + 1, { weight })),
      { strategy: 'weighted' },
    );
    for (let call = 0; call < 10_000; call += 1) pool.lease().settle({ kind: 'succeeded' });
    const sum = weights.reduce((a, b) => a + b);
    for (const key of pool.registry.keys.values())
      expect(key.uses).toBeLessThanOrEqual((10_000 * key.weight * 1.05) / sum);
  });
});

test('the same chance gives the same order', () => {
  expect(orderOf(1)).toEqual(orderOf(1));
  expect(orderOf(1)).not.toEqual(orderOf(2));
});
