/**
 * Checks what aipassd stands on: Node, the native calls, and the clock.
 */

import { isNodeAtLeast, OLDEST_NODE } from '../base/node-version.ts';
import { findingsOf, type Finding } from './finding.ts';

/** Judges a Node version such as `24.21.0`. */
export function judgeNode(version: string): Finding {
  const { ok, problem } = findingsOf('node');
  return isNodeAtLeast(version, OLDEST_NODE)
    ? ok(`Node ${version}`)
    : problem(
        `Node ${version} is older than ${OLDEST_NODE.join('.')}`,
        'install a current Node, then: aipassd install',
      );
}

/** Judges whether the native calls work: without them no peer can be told apart, and others than the own user are refused. */
export function judgeNative(works: boolean): Finding {
  const { ok, warning } = findingsOf('native');
  return works
    ? ok('the kernel tells who asks')
    : warning(
        'koffi does not load, so that the kernel cannot be asked who asks',
        'npm ls koffi, then install the package again',
      );
}

/** Is how far a clock may be off: Google refuses assertions that are more than some minutes off, and tokens live for an hour. */
const WARN_SKEW_MS = 30_000;
const MAX_SKEW_MS = 300_000;

/** Judges the clock against the `Date` that a server sent, which tells whole seconds; `tripMs` is how long the answer took. */
export function judgeClock(ownMs: number, serverDate: string, tripMs: number): Finding {
  const { ok, warning, problem } = findingsOf('clock');
  const serverMs = Date.parse(serverDate);
  if (Number.isNaN(serverMs)) return ok('no server told the time');
  const offMs = Math.max(0, Math.abs(ownMs - serverMs) - tripMs - 1000);
  const text = `the clock is ${Math.round(offMs / 1000)} s off a server's`;
  const hint = 'set the clock: timedatectl set-ntp true (Linux), System Settings > Date & Time (macOS)';
  if (offMs > MAX_SKEW_MS) return problem(text, hint);
  return offMs > WARN_SKEW_MS ? warning(text, hint) : ok(offMs === 0 ? "the clock agrees with a server's" : text);
}
