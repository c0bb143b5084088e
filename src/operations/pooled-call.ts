/**
 * Says of a call that a program made with a leased key what is recorded of it. Pure.
 */

import type { KeyLease } from '../pools/lease.ts';
import type { PoolSettleParams } from '../protocol/pool.ts';
import type { EventStatus, RawEvent } from '../usage/event.ts';
import { microDollars } from '../usage/micro-dollars.ts';

/** Returns the event of a settled lease, without its caller. */
export function pooledCall(
  lease: Pick<KeyLease, 'provider' | 'keyId'>,
  report: Omit<PoolSettleParams, 'leaseId' | 'headers' | 'body'>,
): RawEvent {
  return {
    operation: 'pool.call',
    provider: lease.provider,
    keyId: lease.keyId,
    status: statusOf(report.outcome),
    httpStatus: report.status,
    latencyMs: report.latencyMs,
    costMicros: report.costUsd === undefined ? null : microDollars(report.costUsd),
  };
}

/** Names a report's outcome as apipool does: a key at its limit is told from every other failure. */
function statusOf(outcome: PoolSettleParams['outcome']): EventStatus {
  if (outcome === 'succeeded') return 'success';
  return outcome === 'limited' ? 'reach_limit' : 'failed';
}
