/**
 * `pool.*`: what the keys of a pool are doing, checks of them, and keys leased to programs that
 * call providers themselves.
 */

import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { Clock } from '../base/clock.ts';
import type { Secret } from '../base/secret.ts';
import { outcomeOf } from '../pools/reported-outcome.ts';
import { askedBy, type KeyLease, type LeaseOutcome } from '../pools/lease.ts';
import { DEFAULT_ORGANIZATION } from '../protocol/credential.ts';
import type { PoolSettleParams } from '../protocol/pool.ts';
import type { Organizations } from './organizations.ts';
import { providerParams, type OperationGroup } from './operation.ts';
import { eventCaller, type RecordEvent } from './usage-records.ts';
import { AipassError } from '../base/errors.ts';
import { FairTurns } from '../base/fair-turns.ts';
import type { UsageStatus } from '../protocol/usage.ts';
import type { RawEvent } from '../usage/event.ts';
import { microDollars } from '../usage/micro-dollars.ts';

export interface PoolOperationsDeps {
  readonly organizations: Pick<Organizations, 'keys'>;
  readonly record: RecordEvent;
  readonly clock: Pick<Clock, 'now'>;
}

const model = z.string().min(1).max(256).optional();
const keyId = z.string().min(1).max(128);
const ms = z.number().min(0).max(86_400_000);
const headerFields = z
  .record(z.string().max(256), z.string().max(8192))
  .refine((headers) => Object.keys(headers).length <= 256, 'more than 256 fields');

export function poolOperations({ organizations, record, clock }: PoolOperationsDeps): OperationGroup<'pool'> {
  const held = new HeldLeases();

  return {
    'pool.list': {
      right: 'see',
      inOrganization: true,
      schema: z.strictObject(providerParams),
      handle(params, context) {
        const { vault, lookup, pools } = organizations.keys(context.organization);
        const names =
          params.provider === undefined
            ? [...new Set(vault.keys().map((key) => key.provider))]
            : [lookup.resolve(params.provider)];
        return { pools: names.map((name) => pools.describe(name)) };
      },
    },
    'pool.explain': {
      right: 'see',
      inOrganization: true,
      schema: z.strictObject({ ...providerParams, model }),
      handle: (params, { caller, organization: slug }) => {
        const { lookup, pools } = organizations.keys(slug);
        return pools.explain(lookup.resolve(params.provider), params.model, askedBy(caller.peer?.uid, caller.name));
      },
    },
    'pool.check': {
      right: 'use',
      inOrganization: true,
      schema: z.strictObject(providerParams),
      async handle(params, { organization: slug, signal, emit }) {
        const { vault, lookup, checks } = organizations.keys(slug);
        const keys = params.provider === undefined ? vault.keys() : vault.keys(lookup.key(params.provider).provider);
        let done = 0;
        const verdicts = await checks.check(keys, signal, (key) => {
          done += 1;
          return emit({ done, total: keys.length, key });
        });
        return { keys: verdicts };
      },
    },
    'pool.lease': {
      right: 'reveal',
      audit: {
        outcome: 'released',
        credential: (params, result) => `${result?.provider ?? params.provider ?? ''}/${result?.keyId ?? ''}`,
      },
      schema: z.strictObject({
        provider: providerParams.provider,
        model,
        exclude: z.array(keyId).max(10_000).optional(),
        maxWaitMs: z.int().min(0).max(3_600_000).optional(),
      }),
      async handle({ exclude, maxWaitMs, model: asked, ...params }, { caller, signal, closed }) {
        const who = eventCaller(caller);
        // Only the daemon's own keys are handed out as values.
        const { lookup, pools } = organizations.keys(DEFAULT_ORGANIZATION);
        const leaseKey = async (): Promise<KeyLease & { readonly keyId: string; readonly value: Secret }> => {
          const name = lookup.resolve(params.provider);
          const request = {
            provider: name,
            model: asked,
            exclude: new Set(exclude),
            ...askedBy(caller.peer?.uid, caller.name),
          };
          const lease = await pools.acquire(request, { maxWaitMs, signal });
          const { keyId: id, value } = lease;
          // A provider that needs no key has none to lease. And nobody would settle a key of a
          // request that is over.
          if (id !== null && value !== null && !signal.aborted) return { ...lease, keyId: id, value };
          lease.settle({ kind: 'cancelled' });
          throw signal.aborted ? signal.reason : lookup.whyNone(name);
        };
        const lease = await leaseKey().catch((error: unknown) => {
          // A call that goes on from key to key was recorded with each of them.
          const subject = { provider: params.provider ?? null, keyId: null, model: asked };
          if (!exclude?.length) record({ ...who, ...keylessCall(subject, error) });
          throw error;
        });
        const subject = { provider: lease.provider, keyId: lease.keyId, model: asked };
        const onLost = (): void =>
          record({ ...who, ...subject, operation: POOLED_CALL, status: 'failed', errorCode: 'CANCELLED' });
        const leaseId = held.hold({ lease, subject, onLost }, closed);
        return { leaseId, provider: lease.provider, keyId: lease.keyId, key: lease.value.reveal() };
      },
    },
    'pool.settle': {
      right: 'reveal',
      schema: z.strictObject({
        leaseId: z.string().min(1).max(64),
        outcome: z.enum(['succeeded', 'limited', 'rejected', 'unavailable', 'failed']),
        status: z.int().min(100).max(999).optional(),
        headers: headerFields.optional(),
        body: z.unknown().optional(),
        retryAfterMs: z.number().min(0).max(1e15).optional(),
        latencyMs: ms.optional(),
        tokens: z.int().min(0).optional(),
        costUsd: z.number().min(0).optional(),
      }),
      handle(report, { caller, closed }) {
        let outcome: LeaseOutcome | undefined;
        const leased = held.settle(report.leaseId, closed, (lease) => {
          outcome = outcomeOf(report, lease.provider, clock.now());
          return outcome;
        });
        if (leased) record({ ...eventCaller(caller), ...pooledCall(leased.subject, report) });
        const isKeyTrouble = outcome?.kind === 'failed' && outcome.failure.next === 'another-key';
        return { settled: leased !== undefined, ...(isKeyTrouble ? { next: 'another-key' as const } : {}) };
      },
    },
  };
}

/** Number of leases that one connection may hold: a client may forget to settle. */
const MAX_HELD = 10_000;

interface LeasedKey {
  readonly lease: KeyLease;
  /** Part of the call's usage event. */
  readonly subject: LeasedCall;
  /** Called where the connection closed before the lease was settled. */
  readonly onLost: () => void;
}

/**
 * Leases by connection; a connection is identified by the signal of its end. A lease is its
 * connection's own: nobody else can settle it, and it is given back when the connection closes,
 * however its client ended.
 */
class HeldLeases {
  readonly #byConnection = new WeakMap<AbortSignal, Map<string, LeasedKey>>();
  /** Leases of closed connections: a thousand connections may end at once. */
  readonly #lost = new FairTurns<Map<string, LeasedKey>>((held) => {
    const [next] = held;
    if (!next) return false;
    const [leaseId, { lease, onLost }] = next;
    held.delete(leaseId);
    lease.settle({ kind: 'cancelled' });
    onLost();
    return held.size > 0;
  });

  /** Holds a lease, or gives it back and throws where the connection is gone or has too many. */
  hold(leased: LeasedKey, closed: AbortSignal): string {
    let leases = this.#byConnection.get(closed);
    if (closed.aborted || (leases?.size ?? 0) >= MAX_HELD) {
      leased.lease.settle({ kind: 'cancelled' });
      throw closed.aborted
        ? new AipassError('CANCELLED', 'the client went away')
        : new AipassError('BAD_REQUEST', `this connection already holds ${MAX_HELD} keys`, {
            hint: 'settle each lease when its call is over',
          });
    }
    if (!leases) {
      const held = new Map<string, LeasedKey>();
      leases = held;
      this.#byConnection.set(closed, held);
      closed.addEventListener('abort', () => this.#lost.run(held), { once: true });
    }
    const leaseId = randomUUID();
    leases.set(leaseId, leased);
    return leaseId;
  }

  /** Settles a lease and returns it, or undefined where the connection does not hold it. */
  settle(leaseId: string, closed: AbortSignal, toOutcome: (lease: KeyLease) => LeaseOutcome): LeasedKey | undefined {
    const leases = this.#byConnection.get(closed);
    const leased = leases?.get(leaseId);
    if (!leases || !leased) return undefined;
    leases.delete(leaseId);
    leased.lease.settle(toOutcome(leased.lease));
    return leased;
  }
}

/** Operation under which calls with leased keys are recorded. */
const POOLED_CALL = 'pool.call';

/** Subject of a call: its key, where one was leased, and its model, where the caller named one. */
interface LeasedCall {
  readonly provider: string | null;
  readonly keyId: string | null;
  readonly model: string | undefined;
}

/** Returns the event of a settled lease, without its caller. */
function pooledCall(subject: LeasedCall, report: Omit<PoolSettleParams, 'leaseId' | 'headers' | 'body'>): RawEvent {
  return {
    ...subject,
    operation: POOLED_CALL,
    status: usageStatusOf(report.outcome),
    httpStatus: report.status,
    latencyMs: report.latencyMs,
    costMicros: report.costUsd === undefined ? null : microDollars(report.costUsd),
  };
}

/** Returns the event of a call for which no key could be leased, without its caller. */
function keylessCall(subject: LeasedCall, error: unknown): RawEvent {
  const errorCode = error instanceof AipassError ? error.code : 'INTERNAL';
  const status = errorCode === 'POOL_EXHAUSTED' ? 'reach_limit' : 'failed';
  return { ...subject, operation: POOLED_CALL, status, errorCode };
}

/** Returns the status as apipool has it: a key at its limit is apart from other failures. */
function usageStatusOf(outcome: PoolSettleParams['outcome']): UsageStatus {
  if (outcome === 'succeeded') return 'success';
  return outcome === 'limited' ? 'reach_limit' : 'failed';
}
