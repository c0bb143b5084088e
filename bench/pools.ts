/**
 * What it costs to lease a key and settle it, in pools of 10, 100 and 10,000 keys. The next key is
 * found by one scan over all of them, so the time grows with their number. A call to a provider
 * takes hundreds of milliseconds.
 */

import { systemClock } from '../src/base/clock.ts';
import { AipassError } from '../src/base/errors.ts';
import { Secret } from '../src/base/secret.ts';
import { Pool } from '../src/pools/pool.ts';
import { median, percentile, printFigures } from './numbers.ts';

const SIZES = [10, 100, 10_000] as const;

/** Longest median that is accepted, in milliseconds. */
const MOST_MS: Readonly<Record<(typeof SIZES)[number], number>> = { 10: 0.002, 100: 0.004, 10_000: 0.15 };

const ROUNDS = 7;
const CALLS = 5000;

/** Measures and prints. */
export function benchPools(): Promise<void> {
  const pools = SIZES.map(makePool);
  for (const pool of pools) measure(pool);
  const rounds = pools.map(() => ({ p50: [] as number[], p99: [] as number[] }));
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [index, pool] of pools.entries()) {
      const samples = measure(pool);
      rounds[index]?.p50.push(median(samples));
      rounds[index]?.p99.push(percentile(samples, 0.99));
    }
  }
  const [smallest] = rounds;
  const base = median(smallest?.p50 ?? []);
  printFigures(
    'Lease and settle',
    SIZES.map((size, index) => {
      const p50 = median(rounds[index]?.p50 ?? []);
      const p99 = median(rounds[index]?.p99 ?? []);
      const most = MOST_MS[size];
      return {
        what: `${size} keys, p50 (p99)`,
        ours: `${(p50 * 1000).toFixed(2)} µs (${(p99 * 1000).toFixed(2)} µs)`,
        reference: `${SIZES[0]} keys: ${(base * 1000).toFixed(2)} µs`,
        result: `${(p50 / base).toFixed(2)} times`,
        target: `at most ${most * 1000} µs`,
        isMet: p50 <= most,
      };
    }),
  );
  for (const pool of pools) pool.stop();
  return Promise.resolve();
}

function makePool(keys: number): Pool {
  const pool = new Pool(
    {
      provider: 'bench',
      strategy: 'least-used',
      needsKey: true,
      clock: systemClock,
      random: Math.random,
      emit: () => {},
      onChange: () => {},
      onFree: () => {},
      whyNone: () => new AipassError('NOT_FOUND', 'there is no key'),
    },
    { keys: {}, accounts: {} },
  );
  pool.sync(
    Array.from({ length: keys }, (_, index) => ({
      keyId: `BENCH_API_KEY_${index + 1}`,
      value: new Secret(`bench-value-${index}`),
      revision: '1',
    })),
  );
  return pool;
}

function measure(pool: Pool): number[] {
  const samples: number[] = [];
  for (let call = 0; call < CALLS; call += 1) {
    const start = performance.now();
    pool.lease({ model: 'some/model' }).settle({ kind: 'succeeded' });
    samples.push(performance.now() - start);
  }
  return samples;
}
