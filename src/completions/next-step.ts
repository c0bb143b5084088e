/**
 * What comes after a failed attempt. Pure.
 *
 * A tired key gives way to the next one, a failing provider is asked again a little later, and a request that is wrong
 * is not repeated. Nothing is repeated once the caller has seen part of an answer.
 */

import { judge } from '../pools/verdict.ts';
import type { FailedCompletion } from './outcome.ts';

/** Is what to do next: `another-route` where others may do better, `give-up` where nobody would. */
export type NextStep = 'another-key' | 'again' | 'another-route' | 'give-up';

/** Says what comes after a failure of a key at a provider; `now` is wall time in epoch milliseconds. */
export function nextStep(failed: FailedCompletion, provider: string, model: string, now: number): NextStep {
  if (failed.begun || failed.kind === 'cancelled') return 'give-up';
  const verdict = judge(failed.settlement, provider, model, now);
  if (verdict.kind === 'limited' || verdict.kind === 'rejected') return 'another-key';
  // A configuration with which nothing can be sent fails for good, and another provider has its own.
  if (failed.error.code === 'BAD_REQUEST') return 'another-route';
  // A time limit took so long that asking again would double the wait; somebody else may be faster.
  if (failed.kind === 'timed-out') return 'another-route';
  if (verdict.kind !== 'provider-failed') return 'give-up';
  // Behind a redirect there is no answer a moment later either.
  return failed.kind === 'unavailable' ? 'again' : 'another-route';
}
