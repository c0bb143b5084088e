/**
 * Why a key does not serve now, and when it will, in fields and in words. Used by lists, by
 * `explain`, and by the errors of a pool without a usable key. Pure.
 */

import { AipassError } from '../base/errors.ts';
import { plainText } from '../base/plain-text.ts';
import type { CooldownInfo, CooldownReason, PoolKeyState } from '../protocol/pool.ts';
import type { CircuitBreaker, Cooldown } from './circuit-breaker.ts';
import type { PoolKey } from './pool-key.ts';

export interface Availability {
  readonly state: Exclude<PoolKeyState, 'duplicate' | 'foreign' | 'off'> | 'not-allowed';
  /**
   * Time at which it serves again, in epoch milliseconds: now or earlier if it is free, null where
   * that is not known.
   */
  readonly at: number | null;
}

/** Model that is asked about: one, none (a call without a model), or any of them. */
export type ModelQuestion =
  | 'for-any'
  | {
      readonly model: string | undefined;
      /** Further models that the key has to be allowed for. */
      readonly models?: readonly string[] | undefined;
    };

/** Wait that is suggested where all keys are at their cap of calls in flight, in milliseconds. */
export const BUSY_RETRY_MS = 1000;

/** Number of keys that an error names; the others are counted. */
const NAMED_KEYS = 10;

/** Longest model name in a message, in characters. */
const MAX_MODEL_LENGTH = 100;

const REASONS: Readonly<Record<CooldownReason, string>> = {
  'rate-limit': 'a rate limit',
  'daily-limit': 'its daily limit is used up',
  'no-credit': 'no credit',
  'busy-budget': 'too many calls at once',
  'no-access': 'it may not use the model',
  'billing-account-blocked': 'its account is blocked',
  quota: 'its configured quota is used up',
  failing: 'the provider fails',
};

/**
 * Returns the availability of a key. With `ask` `for-any`, allow-lists and the cooldowns of single
 * models do not count.
 */
export function availabilityOf(key: PoolKey, ask: ModelQuestion, now: number): Availability {
  if (key.quarantine) return { state: 'quarantined', at: null };
  if (ask !== 'for-any' && ![ask.model, ...(ask.models ?? [])].every((model) => key.allows(model))) {
    return { state: 'not-allowed', at: null };
  }
  const ofModel = ask === 'for-any' || ask.model === undefined ? undefined : key.billingAccount.models.get(ask.model);
  const breakers = ofModel
    ? [key.breaker, key.billingAccount.breaker, ofModel]
    : [key.breaker, key.billingAccount.breaker];
  let until = key.billingAccount.isSpent ? (key.billingAccount.spentUntil(now) ?? 0) : 0;
  for (const { state, cooldown } of breakers) if (state === 'open' && cooldown) until = Math.max(until, cooldown.until);
  if (until > 0) return { state: 'cooling-down', at: until };
  if (breakers.some((breaker) => !breaker.isFree)) return { state: 'half-open', at: null };
  if (key.isBusy) return { state: 'busy', at: null };
  return { state: breakers.some(({ state }) => state === 'half-open') ? 'half-open' : 'ready', at: now };
}

/** Returns in words why a key does not serve, or how it does; null for a ready key. */
export function describeAvailability(key: PoolKey, { state, at }: Availability, now: number): string | null {
  if (state === 'ready') return null;
  if (state === 'cooling-down') {
    const cooldown = cooldownsOf(key, now).find(({ until }) => until === at);
    return cooldown ? describeCooldown(cooldown) : 'cools down';
  }
  const words: Readonly<Record<Exclude<Availability['state'], 'ready' | 'cooling-down'>, string>> = {
    quarantined: `${describeQuarantine(key.quarantine?.status ?? 0)}; ${wayBack(key)}`,
    'not-allowed': `is only for ${[...(key.models ?? [])].join(', ')}`,
    'half-open': at === null ? 'half-open: one call is in flight to test it' : 'half-open: one call may test it',
    busy: `has ${key.inFlight} calls in flight, which is its limit`,
  };
  return words[state];
}

/** Returns in words what ends a key's quarantine. */
function wayBack({ uncheckable }: PoolKey): string {
  return uncheckable
    ? 'not used until .env is saved again, since its provider has no free check'
    : 'not used until .env is saved again or a check passes';
}

/** Returns in words why a key is quarantined; the status is 0 where it cannot be sent. */
export function describeQuarantine(status: number): string {
  return status === 0 ? 'holds a character that no header can carry' : `refused with status ${status}`;
}

/** Lists every cooldown under way that a key is part of. */
export function cooldownsOf(key: PoolKey, now: number): readonly CooldownInfo[] {
  const account = key.billingAccount;
  const breakers = [key.breaker, account.breaker, ...account.models.values()];
  const cooldowns = breakers.flatMap(({ state, cooldown }) =>
    state === 'open' && cooldown ? [cooldownInfo(cooldown)] : [],
  );
  const spentUntil = account.isSpent ? account.spentUntil(now) : null;
  return spentUntil === null ? cooldowns : [...cooldowns, quotaCooldown(account.name, now, spentUntil)];
}

/** Returns the cooldown of an account whose quota is used up. */
export function quotaCooldown(accountName: string | null, now: number, until: number): CooldownInfo {
  const scope = accountName === null ? 'key' : 'billing-account';
  return { scope, reason: 'quota', source: 'quota', since: now, until, bound: until };
}

/** Returns in words why something cools down and until when. */
function describeCooldown({ scope, reason, source, until, model }: CooldownInfo): string {
  const reach =
    scope === 'billing-account'
      ? ', with its billing account'
      : model === undefined
        ? ''
        : `, for ${plainText(model, MAX_MODEL_LENGTH)} only`;
  const said =
    source === 'header'
      ? ', set by a header of the answer'
      : source === 'body'
        ? ', set by the error of the answer'
        : '';
  return `cools down until ${new Date(until).toISOString()} (${REASONS[reason]}${said}${reach})`;
}

/** Returns the public part of a cooldown. */
export function cooldownInfo(cooldown: Cooldown): CooldownInfo {
  const { scope, reason, source, since, until, bound, model } = cooldown;
  return { scope, reason, source, since, until, bound, ...(model === undefined ? {} : { model }) };
}

/** Returns the error while the circuit breaker of a provider, or of a model of it, is open. */
export function breakerOpen(provider: string, { state, cooldown }: CircuitBreaker, now: number): AipassError {
  const model = cooldown?.model;
  const what = model === undefined ? provider : `${plainText(model, MAX_MODEL_LENGTH)} at ${provider}`;
  const message = `${what} failed several times in a row`;
  if (state !== 'open' || !cooldown) {
    return new AipassError('PROVIDER_UNAVAILABLE', `${message}; one call is in flight to test it`, {
      hint: 'try again in a moment',
      retryAfterMs: BUSY_RETRY_MS,
    });
  }
  const other = model === undefined ? 'another provider' : 'another model or provider';
  return new AipassError(
    'PROVIDER_UNAVAILABLE',
    `${message} and is not asked until ${new Date(cooldown.until).toISOString()}`,
    { hint: `try again later, or use ${other}`, retryAfterMs: Math.max(1, cooldown.until - now) },
  );
}

/**
 * Returns the error of a pool without a free key: which are out until when, earliest first, with
 * the earliest known recovery as retryAfterMs.
 */
export function poolExhausted(
  provider: string,
  keys: Iterable<PoolKey>,
  ask: Exclude<ModelQuestion, 'for-any'>,
  now: number,
): AipassError {
  const { model } = ask;
  const outs = [...keys].map((key) => ({ key, availability: availabilityOf(key, ask, now) }));
  const isBusy = outs.some(
    ({ availability: { state, at } }) => at === null && (state === 'busy' || state === 'half-open'),
  );
  const ends = outs.flatMap(({ availability: { state, at } }) => (state === 'cooling-down' && at !== null ? [at] : []));
  const earliest = ends.reduce((least, at) => Math.min(least, at), Number.POSITIVE_INFINITY);
  const leftMs = Math.max(1, earliest - now);
  const retryAfterMs = isBusy ? Math.min(BUSY_RETRY_MS, leftMs) : leftMs;

  // Only the few that are named are worth sorting and putting into words.
  const first = outs.filter(({ availability: { at } }) => at === earliest).slice(0, NAMED_KEYS);
  const others = outs.filter(({ availability: { at } }) => at !== earliest).slice(0, NAMED_KEYS - first.length);
  const named = [...first, ...others].map(
    ({ key, availability }) => `${key.keyId} ${describeAvailability(key, availability, now) ?? 'was tried already'}`,
  );
  const more = outs.length > named.length ? `; and ${outs.length - named.length} more` : '';
  const asked = model === undefined ? '' : ` for ${plainText(model, MAX_MODEL_LENGTH)}`;
  const isNoneAllowed = outs.every(({ availability: { state } }) => state === 'not-allowed');
  const fix = isNoneAllowed
    ? 'add the model to "models" of a key in the configuration, or ask for another model'
    : outs.every(({ key }) => key.uncheckable)
      ? 'replace the keys in .env: they are tried again when it is saved'
      : `replace the refused keys in .env, then run aipassd pool ${provider} --check`;
  return new AipassError('POOL_EXHAUSTED', `no key of ${provider} is free${asked}: ${named.join('; ')}${more}`, {
    hint: Number.isFinite(retryAfterMs)
      ? `wait, set "providers.${provider}.pool.maxWaitMs", or add a key; details: aipassd pool explain ${provider}`
      : fix,
    retryAfterMs: Number.isFinite(retryAfterMs) ? retryAfterMs : undefined,
  });
}

/** Returns the error for a key whose credential is switched off. */
export function switchedOff(keyId: string): AipassError {
  return new AipassError('NOT_FOUND', `${keyId} is switched off`, {
    hint: 'switch it on: aipassd credential on <id>; aipassd credential list shows the ids',
  });
}
