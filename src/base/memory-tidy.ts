/**
 * Gives memory back after a burst. V8 collects when it allocates, so that a daemon at rest keeps what a flood of large
 * frames left behind; here it is collected once the daemon rests, which stands still for some 100 ms when nobody asks.
 */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Clock } from './clock.ts';
import { trimMemory } from './native.ts';

/** Interval between two checks, in milliseconds. */
const CHECK_MS = 5000;

/** Growth over its smallest size that a process may have before it is collected. */
const GROWTH = 1.15;

/** Share of busy time of the event loop below which the daemon is idle. */
const REST_UTILIZATION = 0.05;

/** Starts looking; the returned function ends that. */
export function startMemoryTidy(clock: Clock, isResting: () => boolean): () => void {
  let smallest = process.memoryUsage.rss();
  let before = performance.eventLoopUtilization();
  let cancel: (() => void) | undefined;
  const look = (): void => {
    const now = performance.eventLoopUtilization();
    const busy = performance.eventLoopUtilization(now, before).utilization;
    before = now;
    if (busy < REST_UTILIZATION && isResting() && process.memoryUsage.rss() > smallest * GROWTH) {
      collectGarbage();
      // What is left is needed: it is what the next growth is measured by.
      smallest = process.memoryUsage.rss();
    }
    cancel = clock.after(CHECK_MS, look);
  };
  cancel = clock.after(CHECK_MS, look);
  return () => cancel?.();
}

function collectGarbage(): void {
  // The only way to ask V8 in a process that was not started with --expose-gc (nodejs.org, v8.setFlagsFromString).
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  setFlagsFromString('--no-expose-gc');
  if (typeof collect === 'function') collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  trimMemory();
}
