/**
 * Usage events of calls that programs made with a leased key. Pure.
 */

import { AipassError } from '../base/errors.ts';
import type { PoolSettleParams } from '../protocol/pool.ts';
import type { UsageStatus } from '../protocol/usage.ts';
import type { RawEvent } from '../usage/event.ts';
import { microDollars } from '../usage/micro-dollars.ts';

/** Operation under which calls with leased keys are recorded. */
const POOLED_CALL = 'pool.call';

/** Subject of a call: its key, where one was leased, and its model, where the caller named one. */
export interface LeasedCall {
  readonly provider: string | null;
  readonly keyId: string | null;
  readonly model: string | undefined;
}

/** Returns the event of a settled lease, without its caller. */
export function pooledCall(
  subject: LeasedCall,
  report: Omit<PoolSettleParams, 'leaseId' | 'headers' | 'body'>,
): RawEvent {
  return {
    ...subject,
    operation: POOLED_CALL,
    status: statusOf(report.outcome),
    httpStatus: report.status,
    latencyMs: report.latencyMs,
    costMicros: report.costUsd === undefined ? null : microDollars(report.costUsd),
  };
}

/** Returns the event of a lease whose client left before it settled, without its caller. */
export function lostCall(subject: LeasedCall): RawEvent {
  return { ...subject, operation: POOLED_CALL, status: 'failed', errorCode: 'CANCELLED' };
}

/** Returns the event of a call for which no key could be leased, without its caller. */
export function keylessCall(subject: LeasedCall, error: unknown): RawEvent {
  const errorCode = error instanceof AipassError ? error.code : 'INTERNAL';
  const status = errorCode === 'POOL_EXHAUSTED' ? 'reach_limit' : 'failed';
  return { ...subject, operation: POOLED_CALL, status, errorCode };
}

/** Returns the status of a report's outcome as apipool has it: a key at its limit is kept apart from other failures. */
function statusOf(outcome: PoolSettleParams['outcome']): UsageStatus {
  if (outcome === 'succeeded') return 'success';
  return outcome === 'limited' ? 'reach_limit' : 'failed';
}
