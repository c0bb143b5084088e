/**
 * A pool with keys, a clock that tests move and randomness that tests choose.
 */

import { AipassError } from '../../src/base/errors.ts';
import { Secret } from '../../src/base/secret.ts';
import type { LeaseOutcome } from '../../src/pools/lease.ts';
import type { KeyEntry, KeySettings } from '../../src/pools/pool-key.ts';
import type { SavedPool } from '../../src/pools/pool-state.ts';
import { Pool, type PoolDeps } from '../../src/pools/pool.ts';
import type { PoolEvent } from '../../src/protocol/pool.ts';
import { classifyFailure, type SeenFailure } from '../../src/providers/classify-failure.ts';
import { ManualClock } from './manual-clock.ts';

/** Returns a key of the provider, the first of which is 1. */
export function entry(
  number: number,
  settings?: KeySettings,
  revision = 'r1',
  value = `sk-test-value-${number}`,
): KeyEntry {
  return { keyId: keyId(number), value: new Secret(value), revision, settings };
}

/** Returns the id of a key by its number. */
export function keyId(number: number): string {
  return number === 1 ? 'ACME_API_KEY' : `ACME_API_KEY_${number}`;
}

/** Returns a number of keys without settings. */
export function entries(count: number, settings?: KeySettings): KeyEntry[] {
  return Array.from({ length: count }, (_, index) => entry(index + 1, settings));
}

/** Opens a pool of the provider `acme`; the events land in a list. */
export function openPool(
  keys: readonly KeyEntry[],
  deps: Partial<PoolDeps> = {},
  saved: SavedPool = { keys: {}, accounts: {} },
): { pool: Pool; clock: ManualClock; events: PoolEvent[] } {
  const clock = new ManualClock(START);
  const events: PoolEvent[] = [];
  const pool = new Pool(
    {
      provider: 'acme',
      strategy: 'least-used',
      needsKey: true,
      clock,
      random: () => 0,
      emit: (event) => events.push(event),
      onChange: () => {},
      onFree: () => {},
      whyNone: () => new AipassError('NOT_FOUND', 'there is no key for acme'),
      ...deps,
    },
    saved,
  );
  pool.sync(keys);
  return { pool, clock, events };
}

/** Time at which the clocks of pools begin. */
const START = '2026-06-15T12:00:00Z';

/** A full answer. */
export const SUCCEEDED: LeaseOutcome = { kind: 'succeeded' };

/** Returns the outcome of a failed call. */
export function failed(seen: SeenFailure, provider = 'acme'): LeaseOutcome {
  const failure = classifyFailure(provider, seen, Date.parse(START));
  return { kind: 'failed', failure, headers: 'headers' in seen ? seen.headers : {} };
}

/** Returns the outcome of a refused call. */
export function refused(
  status: number,
  headers: Record<string, string> = {},
  body: unknown = null,
  provider?: string,
): LeaseOutcome {
  return failed({ status, headers, body }, provider);
}
