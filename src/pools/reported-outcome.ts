/**
 * Turns the report of a program on a call that it made with a leased key into the outcome of the
 * lease. Pure.
 */

import type { PoolSettleParams } from '../protocol/pool.ts';
import { classifyFailure, isOut, type FailureClass, type SeenFailure } from '../providers/classify-failure.ts';
import type { LeaseOutcome } from './lease.ts';

/**
 * Returns the outcome of a report; `now` is wall time in epoch milliseconds.
 *
 * A status that does not fit the outcome is not believed. A key that is reported as rejected is
 * checked, because the daemon did not see the refusal itself. The words of a refusal come before
 * its status: an empty account is one, whether its provider answers 400, 401 or 403.
 */
export function outcomeOf(report: PoolSettleParams, provider: string, now: number): LeaseOutcome {
  const { outcome, status = 0, body, retryAfterMs, tokens, costUsd, latencyMs } = report;
  const headers = lowerCased(report.headers ?? {});
  const asked = retryAfterMs === undefined ? {} : { 'retry-after-ms': String(Math.ceil(retryAfterMs)) };
  const refusal = { status, headers: { ...headers, ...asked }, body };
  const classify = (seen: SeenFailure): FailureClass => classifyFailure(provider, seen, now);
  const failed = (failure: FailureClass): LeaseOutcome => ({ kind: 'failed', failure, headers });
  switch (outcome) {
    case 'succeeded':
      return { kind: 'succeeded', headers, tokens, costUsd, latencyMs };
    case 'limited':
    case 'rejected':
      return failed(classify({ ...refusal, reported: outcome }));
    case 'unavailable':
      return failed(classify(status >= 500 ? refusal : { transport: 'network' }));
    case 'failed': {
      if (status < 400 || body === undefined) return { kind: 'cancelled' };
      // Of a status that is about keys, the program itself has judged the meaning.
      const byStatus = classify({ status, headers: {}, body: undefined });
      const failure = classify(refusal);
      const isJudged = isOut(byStatus) || byStatus.reason === 'unexplained';
      return isJudged || !isOut(failure) ? { kind: 'cancelled' } : failed(failure);
    }
  }
}

function lowerCased(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}
