/**
 * What is recorded of an attempt. Pure.
 */

import type { AipassError } from '../base/errors.ts';
import type { LeaseOutcome } from '../pools/lease.ts';
import type { UsageStatus } from '../protocol/usage.ts';
import { isLimit } from '../providers/classify-failure.ts';
import type { EventCaller, RawEvent } from '../usage/event.ts';
import { microDollars } from '../usage/micro-dollars.ts';
import type { AttemptOutcome, AttemptTrace } from './forwarding.ts';

/** Who asked for what, and with which key. */
export interface AttemptedCall {
  readonly caller: EventCaller;
  /** The operation under which the attempt is recorded. */
  readonly operation: string;
  /** Organization whose key was used. */
  readonly organization?: string | undefined;
  readonly provider: string;
  readonly keyId: string | null;
  /** The model that was asked for; the one that answered is recorded where it is known. */
  readonly model: string | undefined;
}

/** Returns the event of an attempt, finished or broken off. */
export function attemptEvent(subject: AttemptedCall, outcome: AttemptOutcome): RawEvent {
  const failure = outcome.kind === 'succeeded' ? null : outcome.error;
  return {
    ...subject.caller,
    operation: subject.operation,
    organization: subject.organization,
    provider: subject.provider,
    keyId: subject.keyId,
    status: outcome.kind === 'succeeded' ? 'success' : statusOf(outcome.settlement),
    errorCode: failure?.code,
    ...traced(outcome.trace),
    model: outcome.trace.model ?? subject.model,
    ...httpStatusOf(outcome.settlement),
  };
}

/** Returns the event of a request that failed before a provider was asked. */
export function unaskedEvent(subject: AttemptedCall, error: AipassError): RawEvent {
  const status = error.code === 'POOL_EXHAUSTED' ? 'reach_limit' : 'failed';
  const { caller, ...asked } = subject;
  return { ...caller, ...asked, status, errorCode: error.code };
}

/**
 * Returns the status that an error stands for, which may differ from that of the answer around it.
 */
function httpStatusOf(settlement: LeaseOutcome): Pick<RawEvent, 'httpStatus'> {
  const status = settlement.kind === 'failed' ? settlement.failure.status : null;
  return status === null ? {} : { httpStatus: status };
}

/**
 * Returns `reach_limit` for a key whose limit is reached or whose credit is used up, as apipool
 * does.
 */
function statusOf(settlement: LeaseOutcome): UsageStatus {
  return settlement.kind === 'failed' && isLimit(settlement.failure) ? 'reach_limit' : 'failed';
}

function traced(trace: AttemptTrace): Partial<RawEvent> {
  const { usage } = trace;
  return {
    latencyMs: trace.latencyMs,
    firstTokenMs: trace.firstTokenMs,
    httpStatus: trace.httpStatus,
    generationId: trace.generationId,
    promptTokens: usage?.promptTokens,
    completionTokens: usage?.completionTokens,
    cachedTokens: usage?.cachedTokens,
    cacheWriteTokens: usage?.cacheWriteTokens,
    reasoningTokens: usage?.reasoningTokens,
    costMicros: usage?.costUsd === undefined ? null : microDollars(usage.costUsd),
  };
}
