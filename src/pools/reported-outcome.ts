/**
 * From the report of a program in any language on a call that it made with a leased key to a lease
 * outcome. Pure.
 */

import type { PoolSettleParams } from '../protocol/pool.ts';
import { classifyFailure, isLimit, type FailureClass, type SeenFailure } from '../providers/classify-failure.ts';
import type { LeaseOutcome } from './lease.ts';

/**
 * Returns the outcome of a report; `now` is wall time in epoch milliseconds.
 *
 * A status that does not fit the outcome is not believed. A key that is reported as rejected is
 * checked, because the daemon did not see the refusal itself. The words of a refusal come before
 * its status: an empty account is one, whether its provider answers 400, 401 or 403.
 */
export function outcomeOf(report: PoolSettleParams, provider: string, now: number): LeaseOutcome {
  const headers = lowerCased(report.headers ?? {});
  const failed = (seen: SeenFailure, change: Partial<FailureClass> = {}): LeaseOutcome => ({
    kind: 'failed',
    failure: { ...classifyFailure(provider, seen, now), ...change },
    headers,
  });
  const refused = (status: number): SeenFailure => {
    const { retryAfterMs, body } = report;
    const asked = retryAfterMs === undefined ? {} : { 'retry-after-ms': String(Math.ceil(retryAfterMs)) };
    return { status, headers: { ...headers, ...asked }, body };
  };
  switch (report.outcome) {
    case 'succeeded':
      return {
        kind: 'succeeded',
        headers,
        ...(report.tokens === undefined ? {} : { tokens: report.tokens }),
        ...(report.costUsd === undefined ? {} : { costUsd: report.costUsd }),
        ...(report.latencyMs === undefined ? {} : { latencyMs: report.latencyMs }),
      };
    case 'limited':
      return limited(failed, refused, report.status);
    case 'rejected':
      return (
        byItsWords(failed, refused, report) ??
        failed(refused(401), {
          blame: 'key',
          reason: 'invalid-key',
          status: report.status === 403 ? 403 : 401,
          check: 'now',
        })
      );
    case 'unavailable':
      return report.status !== undefined && report.status >= 500
        ? failed(refused(report.status))
        : failed({ transport: 'network' });
    case 'failed':
      return byItsWords(failed, refused, report) ?? { kind: 'cancelled' };
  }
}

/**
 * Statuses of a refusal whose meaning the program itself has judged, where it calls its call
 * failed.
 */
const JUDGED = new Set([401, 402, 403, 429]);

/**
 * Returns the class of a refusal whose body reports that its key, account or model is out;
 * undefined for any other.
 */
function byItsWords(
  failed: (seen: SeenFailure) => LeaseOutcome,
  refused: (status: number) => SeenFailure,
  { status, body, outcome }: PoolSettleParams,
): LeaseOutcome | undefined {
  if (status === undefined || status < 400 || status >= 500 || body === undefined) return undefined;
  if (outcome === 'failed' && JUDGED.has(status)) return undefined;
  const seen = failed(refused(status));
  if (seen.kind !== 'failed') return undefined;
  const { reason } = seen.failure;
  const isOut = isLimit(seen.failure) || reason === 'account-blocked' || reason === 'no-access';
  return isOut || (outcome === 'failed' && reason === 'invalid-key') ? seen : undefined;
}

/**
 * Classifies a limit by the words and headers of its refusal; one that reads as something else is a
 * plain rate limit.
 */
function limited(
  failed: (seen: SeenFailure) => LeaseOutcome,
  refused: (status: number) => SeenFailure,
  status: number | undefined,
): LeaseOutcome {
  const isBelievable = status === 402 || (status !== undefined && status >= 400 && status < 500);
  const outcome = failed(refused(isBelievable ? status : 429));
  const isBlamed = outcome.kind === 'failed' && ['model', 'key', 'account'].includes(outcome.failure.blame);
  const isKeyOut = outcome.kind === 'failed' && outcome.failure.reason === 'invalid-key';
  return isBlamed && !isKeyOut ? outcome : failed(refused(429));
}

function lowerCased(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}
