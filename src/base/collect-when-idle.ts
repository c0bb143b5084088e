/**
 * Gives memory back after a burst. V8 collects when it allocates, so an idle daemon keeps what a
 * flood of large frames left behind. After 18 requests of 20 MB it stayed at 516 MB. With this file
 * it is back at the 83 MB from before within 10 s (measured on 2026-11-28). A collection stops the
 * loop for some 100 ms, so it waits until nothing is asked.
 */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Clock } from './clock.ts';
import { trimMemory } from './native.ts';
import { repeat } from './timers.ts';

/** Interval between two checks, in milliseconds. */
const CHECK_MS = 5000;

/** Growth over its smallest size that a process may have before it is collected. */
const GROWTH = 1.15;

/** Share of busy time of the event loop below which the daemon is idle. */
const IDLE_UTILIZATION = 0.05;

/** Starts the checks; the returned function ends them. */
export function collectWhenIdle(clock: Clock, isIdle: () => boolean): () => Promise<void> {
  let smallest = process.memoryUsage.rss();
  let before = performance.eventLoopUtilization();
  return repeat(clock, CHECK_MS, () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, before);
    before = now;
    if (utilization >= IDLE_UTILIZATION || !isIdle() || process.memoryUsage.rss() <= smallest * GROWTH) return;
    collectGarbage();
    // What is left is needed: the next growth is measured by it.
    smallest = process.memoryUsage.rss();
  });
}

function collectGarbage(): void {
  // The only way to ask V8 in a process that was not started with --expose-gc (nodejs.org,
  // v8.setFlagsFromString).
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  setFlagsFromString('--no-expose-gc');
  if (typeof collect === 'function') collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  trimMemory();
}
