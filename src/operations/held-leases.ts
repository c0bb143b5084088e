/**
 * The keys that are lent to connections. A lease is its connection's own: nobody else can settle it, and it is given
 * back when the connection closes, however its client ended.
 */

import { randomUUID } from 'node:crypto';
import { AipassError } from '../base/errors.ts';
import type { KeyLease, LeaseOutcome } from '../pools/lease.ts';
import type { PooledSubject } from './pooled-call.ts';

/** Is how many leases one connection may hold: a client that forgets to settle must not use up memory. */
const MAX_HELD = 10_000;

/** Is a key that is lent. */
export interface LentKey {
  readonly lease: KeyLease;
  /** Is what is recorded of the call. */
  readonly subject: PooledSubject;
  /** Is called where the connection closed before anybody said how the call went. */
  readonly onLost: () => void;
}

/** Holds leases by connection; a connection is known by the signal of its end. */
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
  settle(leaseId: string, closed: AbortSignal, outcome: LeaseOutcome): LentKey | undefined {
    const leases = this.#byConnection.get(closed);
    const lent = leases?.get(leaseId);
    if (!leases || !lent) return undefined;
    leases.delete(leaseId);
    lent.lease.settle(outcome);
    return lent;
  }
}
