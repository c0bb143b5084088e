/**
 * What a pool says when it has nothing to lend: which keys are out until when, and the earliest recovery.
 */

import { AipassError } from '../base/errors.ts';
import { plainText } from '../base/plain-text.ts';
import type { PoolKey } from './pool-key.ts';
import { describeRecovery, recoveryOf } from './recovery.ts';
import type { RestCycle } from './rest-cycle.ts';

/** Is how many keys an error names; the others are counted. */
const NAMED_KEYS = 10;

/** Is the longest model name in a message, in characters. */
const MAX_MODEL_LENGTH = 100;

/** Is the wait that is suggested where all keys are at their cap of calls in flight, in milliseconds. */
export const BUSY_RETRY_MS = 1000;

/** Says that a provider is left alone for a while; `cycle` is its breaker's. */
export function providerResting(provider: string, { phase, rest }: RestCycle, now: number): AipassError {
  const message = `${provider} failed several times in a row and is left alone`;
  if (phase !== 'resting' || !rest) {
    return new AipassError('PROVIDER_UNAVAILABLE', `${message}; one call tries it just now`, {
      hint: 'try again in a moment',
      retryAfterMs: 1000,
    });
  }
  return new AipassError('PROVIDER_UNAVAILABLE', `${message} until ${new Date(rest.until).toISOString()}`, {
    hint: 'try again later, or use another provider',
    retryAfterMs: Math.max(1, rest.until - now),
  });
}

/** Says that no key is free: which are out until when, earliest first, with the earliest known recovery as retryAfterMs. */
export function poolExhausted(
  provider: string,
  keys: Iterable<PoolKey>,
  model: string | undefined,
  now: number,
): AipassError {
  const outs = [...keys].map((key) => ({ key, recovery: recoveryOf(key, { model }, now) }));
  const isBusy = outs.some(({ recovery: { state, at } }) => at === null && (state === 'busy' || state === 'half-open'));
  const resting = outs.flatMap(({ recovery: { state, at } }) => (state === 'resting' && at !== null ? [at] : []));
  const earliest = resting.reduce((least, at) => Math.min(least, at), Number.POSITIVE_INFINITY);
  const restLeftMs = Math.max(1, earliest - now);
  const retryAfterMs = isBusy ? Math.min(BUSY_RETRY_MS, restLeftMs) : restLeftMs;

  // Only the few that are named are worth sorting and putting into words.
  const first = outs.filter(({ recovery: { at } }) => at === earliest).slice(0, NAMED_KEYS);
  const others = outs.filter(({ recovery: { at } }) => at !== earliest).slice(0, NAMED_KEYS - first.length);
  const named = [...first, ...others].map(
    ({ key, recovery }) => `${key.keyId} ${describeRecovery(key, recovery, now) ?? 'was tried already'}`,
  );
  const more = outs.length > named.length ? `; and ${outs.length - named.length} more` : '';
  const asked = model === undefined ? '' : ` for ${plainText(model, MAX_MODEL_LENGTH)}`;
  const mend = outs.every(({ key }) => key.uncheckable)
    ? 'replace the keys in .env: they are tried again when it is saved'
    : `mend the keys, then run aipassd pool ${provider} --check`;
  return new AipassError('POOL_EXHAUSTED', `no key of ${provider} is free${asked}: ${named.join('; ')}${more}`, {
    hint: Number.isFinite(retryAfterMs)
      ? `wait, give maxWaitMs, or add a key; aipassd pool explain ${provider} says more`
      : mend,
    retryAfterMs: Number.isFinite(retryAfterMs) ? retryAfterMs : undefined,
  });
}
