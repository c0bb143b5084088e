/**
 * Gates and admissions for tests that are about something else: everybody comes in and may do
 * everything.
 */

import { systemClock } from '../../src/base/clock.ts';
import { Gate, type Admission } from '../../src/callers/gate.ts';
import { ALL_RIGHTS } from '../../src/callers/access.ts';
import { UserLimits } from '../../src/callers/user-limits.ts';

/** What one user may hold in tests that are not about it: more than any of them asks for. */
export const WIDE_LIMITS = {
  connectionsOfOthers: 65_536,
  connections: 65_536,
  inFlight: 1_000_000,
  waitingBytes: 2 ** 32,
  requestsPerSecond: undefined,
};

/** Admits with every right, and keeps no books. */
export const OPEN_ADMISSION: Admission = {
  rights: ALL_RIGHTS,
  organizations: new Map([['default', ALL_RIGHTS]]),
  identify: () => null,
  beginRequest: () => ({ kind: 'admitted' }),
  endRequest: () => {},
  wait: () => true,
  leave: () => {},
};

/** Makes a gate that lets in this process's own user, as the kernel names it. */
export function openGate(): Gate {
  const policy = { ownUid: process.getuid?.() ?? 0, grants: [], organizations: new Map() };
  return new Gate({ grants: () => policy, limits: new UserLimits(WIDE_LIMITS, systemClock), onRejected: () => {} });
}
