/**
 * Descriptions of a pool: its keys, why each cools down, and which would serve next. Changes
 * nothing and calls nobody.
 */

import { maskKey } from '../base/secret.ts';
import type { PoolExplanation, PoolInfo, PoolKeyInfo, PoolStrategy } from '../protocol/pool.ts';
import {
  availabilityOf,
  breakerOpen,
  BUSY_RETRY_MS,
  cooldownInfo,
  cooldownsOf,
  describeAvailability,
  poolExhausted,
} from './availability.ts';
import type { UnusedKey } from './key-registry.ts';
import type { PoolKey } from './pool-key.ts';
import type { Pool } from './pool.ts';
import type { BreakerCaller } from './provider-breaker.ts';
import { orderOf } from './strategy.ts';

/**
 * Lists the keys of a pool with their state; `waiting` is the number of callers that wait for one.
 */
export function describePool(pool: Pool, waiting: number): PoolInfo {
  const now = pool.advance();
  return {
    provider: pool.deps.provider,
    strategy: pool.deps.strategy,
    breaker: pool.breaker.state,
    cooldowns: pool.breaker.cooldowns().map(cooldownInfo),
    waiting,
    keys: [
      ...[...pool.registry.keys.values()].map((key) => describeKey(key, now)),
      ...pool.registry.unused.map(describeUnused),
    ],
  };
}

function describeKey(key: PoolKey, now: number): PoolKeyInfo {
  const availability = availabilityOf(key, 'for-any', now);
  const { state, at } = availability;
  return {
    keyId: key.keyId,
    masked: maskKey(key.value),
    billingAccount: key.billingAccount.name,
    state: state === 'not-allowed' ? 'ready' : state,
    reason: describeAvailability(key, availability, now),
    cooldowns: cooldownsOf(key, now),
    cooldownLeftMs: state === 'cooling-down' && at !== null ? Math.max(0, at - now) : null,
    inFlight: key.inFlight,
    usesToday: key.usesToday(now),
    uses: key.uses,
    lastUsedAt: key.lastUsedAt,
    latencyMs: key.latencyMs === null ? null : Math.round(key.latencyMs * 10) / 10,
    windows: [...key.windows.values()],
    quotas: key.billingAccount.describeQuotas(now),
  };
}

/** Returns which key the next lease would get, and why each other one would not serve it. */
export function explainPool(pool: Pool, model: string | undefined, who: BreakerCaller = {}): PoolExplanation {
  const now = pool.advance();
  const { provider, strategy } = pool.deps;
  const breaker = pool.breaker.blocking(model, who);
  const blocked = breaker && breakerOpen(provider, breaker, now);
  const next = blocked ? undefined : pool.next({ model });
  const keys = [...pool.registry.keys.values()]
    .map((key) => ({ key, availability: availabilityOf(key, { model }, now) }))
    .toSorted(
      (a, b) => Number(isFree(b.availability)) - Number(isFree(a.availability)) || orderOf(strategy)(a.key, b.key),
    )
    .map(({ key, availability }) => {
      const eligible = !blocked && isFree(availability);
      const test = availability.state === 'half-open' ? ', as a test whether it serves again' : '';
      const demotion = key.isDemoted(model, now) ? 'it was refused for an unknown reason; ' : '';
      const why =
        key === next
          ? `serves next${test}: ${rank(key, pool, now)}`
          : (describeAvailability(key, availability, now) ??
            blocked?.message ??
            `comes later: ${demotion}${rank(key, pool, now)}`);
      return { keyId: key.keyId, eligible, why };
    });
  const unused = pool.registry.unused.map((each) => ({
    keyId: each.entry.keyId,
    eligible: false,
    why: whyUnused(each),
  }));
  const empty =
    keys.length > 0 && !next ? poolExhausted(provider, pool.registry.keys.values(), { model }, now) : undefined;
  return {
    provider,
    model: model ?? null,
    strategy,
    next: next?.keyId ?? null,
    retryAfterMs: (blocked ? (blocked.retryAfterMs ?? BUSY_RETRY_MS) : empty?.retryAfterMs) ?? null,
    keyless: keys.length === 0 && !pool.deps.needsKey,
    keys: [...keys, ...unused],
  };
}

function isFree({ at, state }: { readonly at: number | null; readonly state: string }): boolean {
  return at !== null && (state === 'ready' || state === 'half-open');
}

/** Returns in words what the strategy ranks a key by. */
function rank(key: PoolKey, pool: Pool, now: number): string {
  const used = `${key.inFlight} in flight, ${key.usesToday(now)} uses today`;
  const words: Readonly<Record<PoolStrategy, string>> = {
    'least-used': used,
    priority: `priority ${key.priority}, ${used}`,
    'round-robin': key.lastUsedAt === null ? 'never used' : `last used at ${new Date(key.lastUsedAt).toISOString()}`,
    weighted: `weight ${key.weight}, ${key.usesToday(now)} uses today`,
    random: 'its place in this round was drawn at random',
  };
  return words[pool.deps.strategy];
}

function describeUnused(unused: UnusedKey): PoolKeyInfo {
  const { entry, kind } = unused;
  return {
    keyId: entry.keyId,
    masked: maskKey(entry.value),
    billingAccount: entry.settings?.account ?? null,
    state: kind,
    reason: whyUnused(unused),
    cooldowns: [],
    cooldownLeftMs: null,
    inFlight: 0,
    usesToday: 0,
    uses: 0,
    lastUsedAt: null,
    latencyMs: null,
    windows: [],
    quotas: [],
  };
}

/** Returns in words why a key is not used. */
function whyUnused(unused: UnusedKey): string {
  switch (unused.kind) {
    case 'duplicate':
      return `has the same value as ${unused.of}, which is used instead`;
    case 'foreign':
      return `has the format of a key of ${unused.owner} and is never sent to another provider`;
    case 'off':
      return 'is switched off';
  }
}
