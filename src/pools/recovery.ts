/**
 * Why a key does not serve now, and when it will. Pure; for people (list, explain) and for the errors of an empty pool.
 */

import type { PoolKeyState, RestInfo, RestReason } from '../protocol/pool.ts';
import type { PoolKey } from './pool-key.ts';
import type { Rest } from './rest-cycle.ts';

/** Is how a key is for one model. */
export interface Recovery {
  readonly state: Exclude<PoolKeyState, 'duplicate'> | 'not-allowed';
  /** Is when it serves again, in epoch milliseconds: now or earlier if it is free, null where nobody knows. */
  readonly at: number | null;
}

const REASONS: Readonly<Record<RestReason, string>> = {
  'rate-limit': 'a rate limit',
  'daily-limit': 'its day is used up',
  'no-credit': 'no credit',
  'busy-budget': 'too many calls at once',
  'no-access': 'it may not use the model',
  quota: 'its configured quota is used up',
  failing: 'the provider fails',
};

/** Returns how a key is. With `ask` `for-any`, allow-lists and the rests of single models do not count. */
export function recoveryOf(key: PoolKey, ask: ModelQuestion, now: number): Recovery {
  if (key.quarantine) return { state: 'quarantined', at: null };
  if (ask !== 'for-any' && !key.allows(ask.model)) return { state: 'not-allowed', at: null };
  const ofModel = ask === 'for-any' || ask.model === undefined ? undefined : key.account.models.get(ask.model);
  const cycles = ofModel ? [key.cycle, key.account.cycle, ofModel] : [key.cycle, key.account.cycle];
  let until = key.account.isSpent ? (key.account.spentUntil(now) ?? 0) : 0;
  for (const { phase, rest } of cycles) if (phase === 'resting' && rest) until = Math.max(until, rest.until);
  if (until > 0) return { state: 'resting', at: until };
  if (cycles.some((cycle) => !cycle.free)) return { state: 'half-open', at: null };
  if (key.isBusy) return { state: 'busy', at: null };
  return { state: cycles.some((cycle) => cycle.phase === 'half-open') ? 'half-open' : 'ready', at: now };
}

/** Says which model is asked about: one, none (a call without a model), or any of them. */
export type ModelQuestion = 'for-any' | { readonly model: string | undefined };

/** Says in words why a key does not serve, or how it does; null for a ready key. */
export function describeRecovery(key: PoolKey, { state, at }: Recovery, now: number): string | null {
  if (state === 'ready') return null;
  if (state === 'resting') {
    const rest = restsOf(key, now).find(({ until }) => until === at);
    return rest ? describeRest(rest) : 'rests';
  }
  const words: Readonly<Record<Exclude<Recovery['state'], 'ready' | 'resting'>, string>> = {
    quarantined: `${describeQuarantine(key.quarantine?.status ?? 401)}: ${wayBack(key)}`,
    'not-allowed': `is only for ${[...(key.models ?? [])].join(', ')}`,
    'half-open': `${at === null ? 'one call tries just now' : 'the next call tries'} whether it serves again`,
    busy: `has ${key.inFlight} calls in flight, which is its cap`,
  };
  return words[state];
}

/** Says what ends a key's quarantine. */
function wayBack({ uncheckable }: PoolKey): string {
  return uncheckable
    ? 'out until you change it in .env, or save that file again: its provider has no free check'
    : 'out until its file changes or a check passes';
}

/** Says in words why a key is quarantined; the status is 0 where nobody was asked. */
export function describeQuarantine(status: number): string {
  return status === 0 ? 'holds a character that no header can carry' : `refused with status ${status}`;
}

/** Lists every rest under way that a key is part of. */
export function restsOf(key: PoolKey, now: number): readonly RestInfo[] {
  const { account } = key;
  const cycles = [key.cycle, account.cycle, ...account.models.values()];
  const rests = cycles.flatMap(({ phase, rest }) => (phase === 'resting' && rest ? [restInfo(rest)] : []));
  const spentUntil = account.isSpent ? account.spentUntil(now) : null;
  if (spentUntil === null) return rests;
  const scope = account.name === null ? 'key' : 'account';
  return [...rests, { scope, reason: 'quota', source: 'quota', since: now, until: spentUntil, bound: spentUntil }];
}

/** Says in words why something rests and until when. */
export function describeRest({ scope, reason, source, until, model }: RestInfo): string {
  const who = scope === 'account' ? ', with its account' : model === undefined ? '' : `, for ${model} only`;
  const told = source === 'header' ? ', as the provider says' : source === 'body' ? ', as the answer says' : '';
  return `rests until ${new Date(until).toISOString()} (${REASONS[reason]}${told}${who})`;
}

/** Returns the part of a rest that others may know. */
export function restInfo(rest: Rest): RestInfo {
  const { scope, reason, source, since, until, bound, model } = rest;
  return { scope, reason, source, since, until, bound, ...(model === undefined ? {} : { model }) };
}
