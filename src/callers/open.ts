/**
 * Opens the admission of callers: who may connect, with which rights and limits. Follows the
 * configuration.
 */

import { defer } from '../base/dispose.ts';
import type { Runtime } from '../base/runtime.ts';
import type { AccessPolicy } from './access.ts';
import { Gate, limitRejections, type ReportRejection } from './gate.ts';
import { UserLimits, userLimits } from './user-limits.ts';

/** Opens the gate; `onRejected` is called at most once a second for each user. */
export function openGate(
  { config, clock, warnings }: Runtime,
  access: AccessPolicy,
  onRejected: ReportRejection,
  stack: AsyncDisposableStack,
): Gate {
  const limits = new UserLimits(userLimits(config.current), clock);
  const stopFollowing = config.onChange((next) => {
    access.replace(next);
    limits.change(userLimits(next));
  });
  defer(stack, 'the access policy', stopFollowing);
  warnings.register(() => access.warnings());
  return new Gate({ grants: () => access.grants, limits, onRejected: limitRejections(clock, onRejected) });
}
