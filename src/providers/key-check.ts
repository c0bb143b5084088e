/**
 * Asks a provider whether a key is good, by an endpoint that costs nothing.
 *
 * A refusal that does not speak of the key, and a success that anybody gets, prove nothing: then
 * the verdict is `unknown`.
 */

import { toRecord } from '../base/json.ts';
import { systemClock, type Clock } from '../base/clock.ts';
import { AipassError } from '../base/errors.ts';
import type { Secret } from '../base/secret.ts';
import { classifyFailure } from './classify-failure.ts';
import { redactWith } from './error-reason.ts';
import { askJson, type JsonAnswer } from './http.ts';
import type { KeyCheck, Provider } from './provider.ts';
import { describeRefusal, type RefusalContext } from './refusal.ts';

/** Result of a check; reasons are plain text without the key. */
export type KeyCheckResult =
  | { readonly kind: 'valid' }
  | { readonly kind: 'invalid'; readonly status: number; readonly reason: string }
  | { readonly kind: 'unknown'; readonly reason: string };

/**
 * Asks the provider about a key.
 *
 * @throws AipassError CANCELLED when the signal aborts; no other failure is thrown, it makes the
 * verdict `unknown`.
 */
export async function checkKey(
  provider: Provider,
  key: Secret,
  signal: AbortSignal,
  clock: Clock = systemClock,
): Promise<KeyCheckResult> {
  const { name, keyCheck } = provider;
  if (keyCheck === null) return unknown(`${name} has no free endpoint that proves a key`);
  try {
    const answer = await askJson(provider, key, keyCheck, signal, clock);
    return judgeKeyAnswer(answer, keyCheck, { provider: name, keyId: null, redact: redactWith(key) }, clock.now());
  } catch (error) {
    if (!(error instanceof AipassError) || error.code === 'CANCELLED') throw error;
    return unknown(error.message);
  }
}

/** Judges the answer to a key check; `now` is wall time in epoch milliseconds. */
export function judgeKeyAnswer(
  answer: JsonAnswer,
  check: Pick<KeyCheck, 'invalidStatuses' | 'mustBeTrue' | 'mustNotBeTrue'>,
  context: RefusalContext,
  now: number,
): KeyCheckResult {
  const { status, body } = answer;
  if (status < 200 || status > 299) {
    const { invalidStatuses } = check;
    const failure = classifyFailure(context.provider, { ...answer, invalidStatuses }, now);
    const reason = describeRefusal(answer, context, failure).message;
    return failure.reason === 'invalid-key' ? { kind: 'invalid', status, reason } : unknown(reason);
  }
  // The captive portal of a hotel's network answers every request with 200 and a page.
  if (typeof body !== 'object' || body === null) return unknown('the answer is not a JSON document');
  const fields = toRecord(body);
  const denied =
    check.mustBeTrue.find((field) => fields[field] !== true) ??
    check.mustNotBeTrue.find((field) => fields[field] === true);
  return denied === undefined
    ? { kind: 'valid' }
    : { kind: 'invalid', status, reason: `the provider reports "${denied}": ${String(fields[denied] === true)}` };
}

function unknown(reason: string): KeyCheckResult {
  return { kind: 'unknown', reason };
}
