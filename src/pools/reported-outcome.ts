/**
 * What a program in any language says of a call that it made with a lent key, in our own words. Pure.
 */

import type { PoolSettleParams } from '../protocol/pool.ts';
import type { LeaseOutcome } from './lease.ts';

/** Turns a report into an outcome; a status that is no refusal is not believed where the report says that there was one. */
export function outcomeOf(report: PoolSettleParams): LeaseOutcome {
  const headers = lowerCased(report.headers ?? {});
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
      return refusal(report.status === 402 ? 402 : 429, report, headers);
    case 'rejected':
      return refusal(report.status === 403 ? 403 : 401, report, headers);
    case 'unavailable':
      return report.status !== undefined && report.status >= 500
        ? refusal(report.status, report, headers)
        : { kind: 'unavailable', reason: 'network' };
    case 'failed':
      break;
  }
  return { kind: 'cancelled' };
}

function refusal(status: number, report: PoolSettleParams, headers: Readonly<Record<string, string>>): LeaseOutcome {
  const { retryAfterMs, body } = report;
  const told = retryAfterMs === undefined ? {} : { 'retry-after-ms': String(Math.ceil(retryAfterMs)) };
  return { kind: 'refused', status, headers: { ...headers, ...told }, body };
}

function lowerCased(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}
