/**
 * Checks Node, the native calls, and the clock.
 */

import { isNodeAtLeast, OLDEST_NODE } from '../base/node-version.ts';
import { findingsOf, type Finding } from './finding.ts';

/** Checks a Node version such as `24.21.0`. */
export function judgeNode(version: string): Finding {
  const { ok, problem } = findingsOf('node');
  return isNodeAtLeast(version, OLDEST_NODE)
    ? ok(`Node ${version}`)
    : problem(
        `Node ${version} is older than ${OLDEST_NODE.join('.')}`,
        'install a current Node, then: aipassd install',
      );
}

/**
 * Checks the native calls: without them peers cannot be identified, and other users are rejected.
 */
export function judgeNative(works: boolean): Finding {
  const { ok, warning } = findingsOf('native');
  return works
    ? ok('the kernel identifies callers')
    : warning(
        'koffi does not load, so the kernel cannot identify callers',
        'npm ls koffi, then install the package again',
      );
}

/**
 * Allowed clock skew: Google refuses assertions that are some minutes off, and tokens live for an
 * hour.
 */
const WARN_SKEW_MS = 30_000;
const MAX_SKEW_MS = 300_000;

/**
 * Compares the clock with the `Date` of a server, which has whole seconds; `tripMs` is the duration
 * of the request.
 */
export function judgeClock(ownMs: number, serverDate: string, tripMs: number): Finding {
  const { ok, warning, problem } = findingsOf('clock');
  const serverMs = Date.parse(serverDate);
  if (Number.isNaN(serverMs)) return ok('no server sent its time');
  const offMs = Math.max(0, Math.abs(ownMs - serverMs) - tripMs - 1000);
  const text = `the clock is ${Math.round(offMs / 1000)} s off a server's`;
  const hint = 'set the clock: timedatectl set-ntp true (Linux), System Settings > Date & Time (macOS)';
  if (offMs > MAX_SKEW_MS) return problem(text, hint);
  return offMs > WARN_SKEW_MS ? warning(text, hint) : ok(offMs === 0 ? "the clock agrees with a server's" : text);
}
