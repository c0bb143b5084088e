/**
 * Describes a pool for people: its keys, why each rests, and which would serve next. Changes nothing and calls nobody.
 */

import { maskKey } from '../base/secret.ts';
import type { PoolExplanation, PoolInfo, PoolKeyInfo, PoolStrategy } from '../protocol/pool.ts';
import { BUSY_RETRY_MS, poolExhausted } from './pool-errors.ts';
import type { PoolKey } from './pool-key.ts';
import type { Pool } from './pool.ts';
import { describeRecovery, describeRest, recoveryOf, restInfo, restsOf } from './recovery.ts';
import type { Duplicate } from './roster.ts';
import { orderOf } from './strategy.ts';

const PROVIDER_PROBED = 'the provider failed several times in a row; one call tries just now whether it serves again';

/** Lists the keys of a pool with their state; `waiting` is how many callers wait for one. */
export function describePool(pool: Pool, waiting: number): PoolInfo {
  const now = pool.advance();
  const { phase, rest } = pool.rests.breaker.cycle;
  return {
    provider: pool.parts.provider,
    strategy: pool.parts.strategy,
    rest: phase === 'resting' && rest ? restInfo(rest) : null,
    waiting,
    keys: [
      ...[...pool.roster.keys.values()].map((key) => describeKey(key, now)),
      ...pool.roster.duplicates.map(describeDuplicate),
    ],
  };
}

/** Describes one key. */
export function describeKey(key: PoolKey, now: number): PoolKeyInfo {
  const recovery = recoveryOf(key, 'for-any', now);
  return {
    keyId: key.keyId,
    masked: maskKey(key.value),
    account: key.account.name,
    state: recovery.state === 'not-allowed' ? 'ready' : recovery.state,
    reason: describeRecovery(key, recovery, now),
    rests: restsOf(key, now),
    restLeftMs: recovery.state === 'resting' && recovery.at !== null ? Math.max(0, recovery.at - now) : null,
    inFlight: key.inFlight,
    usesToday: key.usesToday(now),
    uses: key.uses,
    lastUsedAt: key.lastUsedAt,
    latencyMs: key.latencyMs === null ? null : Math.round(key.latencyMs * 10) / 10,
    windows: [...key.windows.values()],
    quotas: key.account.describeQuotas(now),
  };
}

/** Says which key the next lease would get, and why each other one would not serve it. */
export function explainPool(pool: Pool, model: string | undefined): PoolExplanation {
  const now = pool.advance();
  const { provider, strategy } = pool.parts;
  const { phase, rest, free } = pool.rests.breaker.cycle;
  const isResting = phase === 'resting' && rest !== null;
  const blocked = free ? null : isResting ? `the provider ${describeRest(rest)}` : PROVIDER_PROBED;
  const next = blocked === null ? pool.next(model) : undefined;
  const keys = [...pool.roster.keys.values()]
    .map((key) => ({ key, recovery: recoveryOf(key, { model }, now) }))
    .toSorted((a, b) => Number(isFree(b.recovery)) - Number(isFree(a.recovery)) || orderOf(strategy)(a.key, b.key))
    .map(({ key, recovery }) => {
      const eligible = blocked === null && isFree(recovery);
      const why =
        key === next
          ? `serves next${recovery.state === 'half-open' ? ', to try whether it serves again' : ''}: ${rank(key, pool, now)}`
          : (describeRecovery(key, recovery, now) ?? blocked ?? `comes later: ${rank(key, pool, now)}`);
      return { keyId: key.keyId, eligible, why };
    });
  const duplicates = pool.roster.duplicates.map(({ entry, of }) => ({
    keyId: entry.keyId,
    eligible: false,
    why: `has the same value as ${of}`,
  }));
  const empty = keys.length > 0 && !next ? poolExhausted(provider, pool.roster.keys.values(), model, now) : undefined;
  return {
    provider,
    model: model ?? null,
    strategy,
    next: next?.keyId ?? null,
    retryAfterMs:
      (blocked === null ? empty?.retryAfterMs : isResting ? Math.max(1, rest.until - now) : BUSY_RETRY_MS) ?? null,
    keyless: keys.length === 0 && !pool.parts.needsKey,
    keys: [...keys, ...duplicates],
  };
}

function isFree({ at, state }: { readonly at: number | null; readonly state: string }): boolean {
  return at !== null && (state === 'ready' || state === 'half-open');
}

/** Says in words what the strategy ranks a key by. */
function rank(key: PoolKey, pool: Pool, now: number): string {
  const used = `${key.inFlight} in flight, ${key.usesToday(now)} uses today`;
  const words: Readonly<Record<PoolStrategy, string>> = {
    'least-used': used,
    priority: `priority ${key.priority}, ${used}`,
    'round-robin': key.lastUsedAt === null ? 'never used' : `last used at ${new Date(key.lastUsedAt).toISOString()}`,
    weighted: `weight ${key.weight}, ${key.usesToday(now)} uses today`,
    random: 'its place in this round was drawn by chance',
  };
  return words[pool.parts.strategy];
}

function describeDuplicate({ entry, of }: Duplicate): PoolKeyInfo {
  return {
    keyId: entry.keyId,
    masked: maskKey(entry.value),
    account: entry.settings?.account ?? null,
    state: 'duplicate',
    reason: `has the same value as ${of}, which is used in its place`,
    rests: [],
    restLeftMs: null,
    inFlight: 0,
    usesToday: 0,
    uses: 0,
    lastUsedAt: null,
    latencyMs: null,
    windows: [],
    quotas: [],
  };
}
