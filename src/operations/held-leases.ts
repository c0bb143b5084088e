/**
 * The keys that are lent to connections. A lease is its connection's own: nobody else can settle it, and it is given
 * back when the connection closes, however its client ended.
 */

import { randomUUID } from 'node:crypto';
import { AipassError } from '../base/errors.ts';
import type { KeyLease, LeaseOutcome } from '../pools/lease.ts';

/** Is how many leases one connection may hold: a client that forgets to settle must not use up memory. */
const MAX_HELD = 10_000;

/** Holds leases by connection; a connection is known by the signal of its end. */
export class HeldLeases {
  readonly #byConnection = new WeakMap<AbortSignal, Map<string, KeyLease>>();

  /** Holds a lease and returns its id. Gives it back and throws where the connection is gone or holds too many. */
  hold(lease: KeyLease, closed: AbortSignal): string {
    let leases = this.#byConnection.get(closed);
    if (closed.aborted || (leases?.size ?? 0) >= MAX_HELD) {
      lease.settle({ kind: 'cancelled' });
      throw closed.aborted
        ? new AipassError('CANCELLED', 'the client went away')
        : new AipassError('BAD_REQUEST', `this connection holds ${MAX_HELD} keys already`, {
            hint: 'settle each lease when its call is over',
          });
    }
    if (!leases) {
      const held = new Map<string, KeyLease>();
      leases = held;
      this.#byConnection.set(closed, held);
      const giveBack = (): void => {
        for (const one of held.values()) one.settle({ kind: 'cancelled' });
        held.clear();
      };
      closed.addEventListener('abort', giveBack, { once: true });
    }
    const leaseId = randomUUID();
    leases.set(leaseId, lease);
    return leaseId;
  }

  /** Settles a lease of a connection and returns it, or undefined where the connection does not hold it (any more). */
  settle(leaseId: string, closed: AbortSignal, outcome: LeaseOutcome): KeyLease | undefined {
    const leases = this.#byConnection.get(closed);
    const lease = leases?.get(leaseId);
    if (!leases || !lease) return undefined;
    leases.delete(leaseId);
    lease.settle(outcome);
    return lease;
  }
}
