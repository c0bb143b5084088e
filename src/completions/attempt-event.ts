/**
 * What is recorded of an attempt. Pure.
 */

import type { AipassError } from '../base/errors.ts';
import type { LeaseOutcome } from '../pools/lease.ts';
import type { UsageStatus } from '../protocol/usage.ts';
import type { EventCaller, RawEvent } from '../usage/event.ts';
import { microDollars } from '../usage/micro-dollars.ts';
import type { AttemptOutcome, AttemptTrace } from './forwarding.ts';

/** Who asked for what, and with which key. */
export interface AttemptSubject {
  readonly caller: EventCaller;
  /** The operation under which the attempt is recorded. */
  readonly operation: string;
  readonly provider: string;
  readonly keyId: string | null;
  /** The model that was asked for; the one that answered is recorded where it is known. */
  readonly model: string | undefined;
}

/** Returns the event of an attempt, finished or broken off. */
export function attemptEvent(subject: AttemptSubject, outcome: AttemptOutcome): RawEvent {
  const failure = outcome.kind === 'succeeded' ? null : outcome.error;
  return {
    ...subject.caller,
    operation: subject.operation,
    provider: subject.provider,
    keyId: subject.keyId,
    status: statusOf(outcome.settlement),
    errorCode: failure?.code,
    ...traced(outcome.trace),
    model: outcome.trace.model ?? subject.model,
    ...(outcome.settlement.kind === 'refused' ? { httpStatus: outcome.settlement.status } : {}),
  };
}

/** Returns the event of a request that failed before a provider was asked. */
export function unaskedEvent(subject: AttemptSubject, error: AipassError): RawEvent {
  const status = error.code === 'POOL_EXHAUSTED' ? 'reach_limit' : 'failed';
  const { caller, ...asked } = subject;
  return { ...caller, ...asked, status, errorCode: error.code };
}

/** Distinguishes a key whose limit is reached (429 too many requests, 402 no credit left) from any other failure, as apipool does. */
function statusOf(settlement: LeaseOutcome): UsageStatus {
  if (settlement.kind === 'succeeded') return 'success';
  return settlement.kind === 'refused' && (settlement.status === 429 || settlement.status === 402)
    ? 'reach_limit'
    : 'failed';
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
    reasoningTokens: usage?.reasoningTokens,
    costMicros: usage?.costUsd === undefined ? null : microDollars(usage.costUsd),
  };
}
