/**
 * The keys that are lent to connections. A lease is its connection's own: nobody else can settle it, and it is given
 * back when the connection closes, however its client ended.
 */

import { randomUUID } from 'node:crypto';
import { AipassError } from '../base/errors.ts';
import type { KeyLease, LeaseOutcome } from '../pools/lease.ts';
import type { PooledSubject } from './pooled-call.ts';

/** Number of leases that one connection may hold: a client that forgets to settle must not use up memory. */
const MAX_HELD = 10_000;

/** A key that is lent. */
export interface LentKey {
  readonly lease: KeyLease;
  /** Part of the call's usage event. */
  readonly subject: PooledSubject;
  /** Called where the connection closed before the lease was settled. */
  readonly onLost: () => void;
}

/** Leases by connection; a connection is identified by the signal of its end. */
export class HeldLeases {
  readonly #byConnection = new WeakMap<AbortSignal, Map<string, LentKey>>();

  /** Holds a lease and returns its id. Gives it back and throws where the connection is gone or holds too many. */
  hold(lent: LentKey, closed: AbortSignal): string {
    let leases = this.#byConnection.get(closed);
    if (closed.aborted || (leases?.size ?? 0) >= MAX_HELD) {
      lent.lease.settle({ kind: 'cancelled' });
      throw closed.aborted
        ? new AipassError('CANCELLED', 'the client went away')
        : new AipassError('BAD_REQUEST', `this connection holds ${MAX_HELD} keys already`, {
            hint: 'settle each lease when its call is over',
          });
    }
    if (!leases) {
      const held = new Map<string, LentKey>();
      leases = held;
      this.#byConnection.set(closed, held);
      const giveBack = (): void => {
        const all = [...held.values()];
        held.clear();
        for (const { lease } of all) lease.settle({ kind: 'cancelled' });
        for (const { onLost } of all) onLost();
      };
      closed.addEventListener('abort', giveBack, { once: true });
    }
    const leaseId = randomUUID();
    leases.set(leaseId, lent);
    return leaseId;
  }

  /** Settles a lease of a connection and returns it, or undefined where the connection does not hold it (any more). */
  settle(leaseId: string, closed: AbortSignal, outcomeOf: (lease: KeyLease) => LeaseOutcome): LentKey | undefined {
    const leases = this.#byConnection.get(closed);
    const lent = leases?.get(leaseId);
    if (!leases || !lent) return undefined;
    leases.delete(leaseId);
    lent.lease.settle(outcomeOf(lent.lease));
    return lent;
  }
}
