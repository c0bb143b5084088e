/**
 * Keeps the daemon's memory near what is alive: V8's heap under load, by settings, and after a
 * burst, by collecting garbage. V8 takes memory for speed as if the machine were its own, and takes
 * its limits on Node's command line only. The settings here hold from the moment they are made. At
 * 32 completions at once through the gateway, the peak was 350 MB without them and is 144 with them
 * (2026-11-28). A bare proxy of node:http takes 107 to 128 MB for the same.
 *
 * V8 collects when it allocates, so an idle daemon keeps what a flood of large frames left behind.
 * After 18 requests of 20 MB it stayed at 516 MB, and is back at the 83 MB from before within 10 s.
 * The memory of a load of small requests is given back within a minute.
 */

import { PerformanceObserver } from 'node:perf_hooks';
import { getHeapSpaceStatistics, getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Clock } from './clock.ts';
import { trimMemory, trimMemoryInBackground } from './native.ts';
import { repeat } from './timers.ts';

/**
 * Size of the space for young objects, both halves of it, at which it stops growing: V8 lets it
 * grow to 128 MB. Half of the size takes 5 MB less, but objects are then copied more often, which
 * stops all requests. While hostile callers kept subscribing and leasing, the p99 of others was
 * 11.5 ms instead of 7.6. The gateway's rate was 5 % lower.
 */
const YOUNG_BYTES = 16 * 1024 * 1024;

/** Time between two collections below which the space for young objects is too small. */
const FREQUENT_MS = 250;

/** V8's own growth of that space when much of it survives a collection; 1 is none. */
const GROWTH = 2;

/** Growth at which old objects are collected, in percent; V8 lets them grow fourfold. */
const OLD_PERCENT = 40;

/**
 * Share of that growth after which marking begins in the background, and after which it begins at
 * once, in percent. V8 waits for all of it, and for 8 MB at least, which is much for a small heap.
 */
const MARK_SOON_PERCENT = 20;
const MARK_NOW_PERCENT = 40;

/** Size of a heap above which it is collected as V8 does it: each collection takes long then. */
const SMALL_BYTES = 48 * 1024 * 1024;

/** Time after the start at which what it left behind is collected, in milliseconds. */
const AFTER_START_MS = 1000;

/** Interval between two checks for memory to give back, in milliseconds. */
const CHECK_MS = 5000;

/**
 * Growth over its smallest size that a process may have before it is collected: at the first idle
 * check, and after a long idle time. A collection also takes the compiled code of what is not in
 * use. Without that code, the gateway answers the next ten thousand requests half as fast. A pause
 * between bursts is not enough reason for that.
 */
const SUDDEN_GROWTH = 2.5;
const IDLE_GROWTH = 1.15;

/** Idle time after which the smaller growth counts, in milliseconds. */
const LONG_IDLE_MS = 45_000;

/** Share of busy time of the event loop below which the daemon is idle. */
const IDLE_UTILIZATION = 0.05;

/**
 * Makes the settings and starts the checks; the returned function ends the checks. A collection
 * stops the loop for 30 to 100 ms, so `isIdle` has to return whether nothing is asked.
 *
 * Call it when the daemon is ready: Node's own compiled modules fit V8's settings at its start
 * alone. With others, Node compiled 54 of them again, which took 20 ms.
 */
export function keepHeapLean(clock: Clock, isIdle: () => boolean): () => Promise<void> {
  growYoung(1);
  setFlagsFromString(`--heap-growing-percent=${OLD_PERCENT}`);
  fitHeap(true);
  // The compiler's finished jobs are freed at once. They waited for a thread that had nothing else
  // to do, and held 25 MB when a load set in. The C library then kept that.
  setFlagsFromString('--no-maglev-destroy-on-background');
  watchCollections();
  return collectWhenIdle(clock, isIdle);
}

/**
 * Lets the space for young objects grow up to its limit while it is collected often. Fits the
 * settings to the size of the heap.
 */
function watchCollections(): void {
  let last = 0;
  let factor = 1;
  let wasSmall = true;
  const observer = new PerformanceObserver((list) => {
    const [entry] = list.getEntries();
    const startedAt = entry?.startTime ?? 0;
    const isFrequent = startedAt - last < FREQUENT_MS;
    last = startedAt;
    const isSmall = getHeapStatistics().used_heap_size < SMALL_BYTES;
    const wanted = isFrequent && youngBytes() * GROWTH <= YOUNG_BYTES ? GROWTH : 1;
    if (wanted !== factor) growYoung(wanted);
    factor = wanted;
    if (isSmall !== wasSmall) fitHeap(isSmall);
    wasSmall = isSmall;
  });
  observer.observe({ entryTypes: ['gc'] });
}

function fitHeap(isSmall: boolean): void {
  setFlagsFromString(`--incremental-marking-soft-trigger=${isSmall ? MARK_SOON_PERCENT : 0}`);
  setFlagsFromString(`--incremental-marking-hard-trigger=${isSmall ? MARK_NOW_PERCENT : 0}`);
  // Threads that share the work keep room of their own. On a busy machine the loop waits for them.
  setFlagsFromString(isSmall ? '--no-parallel-scavenge' : '--parallel-scavenge');
}

function growYoung(factor: number): void {
  setFlagsFromString(`--semi-space-growth-factor=${factor}`);
}

/** Returns what both halves of the space hold; Node 26 reports as its size only what is in use. */
function youngBytes(): number {
  const young = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space');
  return young === undefined ? 0 : 2 * (young.space_used_size + young.space_available_size);
}

function collectWhenIdle(clock: Clock, isIdle: () => boolean): () => Promise<void> {
  let smallest = process.memoryUsage.rss();
  let idleMs = 0;
  const collect = (): void => {
    collectGarbage();
    // What is left is needed: the next growth is measured by it.
    smallest = process.memoryUsage.rss();
  };
  const cancelFirst = clock.after(AFTER_START_MS, () => {
    if (isIdle()) collect();
  });
  let before = performance.eventLoopUtilization();
  const endChecks = repeat(clock, CHECK_MS, () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, before);
    before = now;
    idleMs = utilization < IDLE_UTILIZATION ? idleMs + CHECK_MS : 0;
    if (isIdle() && isWorthCollecting(process.memoryUsage.rss() / smallest, idleMs)) collect();
    else if (idleMs === 0) trimMemoryInBackground();
  });
  return () => {
    cancelFirst();
    return endChecks();
  };
}

/**
 * Returns whether a process that was idle for so many milliseconds is collected.
 *
 * @param growth its size, as a multiple of its smallest one
 */
export function isWorthCollecting(growth: number, idleMs: number): boolean {
  return idleMs > 0 && growth > (idleMs >= LONG_IDLE_MS ? IDLE_GROWTH : SUDDEN_GROWTH);
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
