/**
 * Keeps V8's heap near what is alive. V8 takes memory for speed as if the machine were its own, and
 * takes its limits on Node's command line only. The settings here hold from the moment they are
 * made. At 32 completions at once through the gateway, the peak was 350 MB without them and is 160
 * with them (2026-11-28). The time of processor for each completion is the same.
 */

import { PerformanceObserver } from 'node:perf_hooks';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';

/**
 * Size of the space for young objects, both halves of it, at which it stops growing: V8 lets it
 * grow to 128 MB, and that does not make a request cheaper. With 8 MB, half as many requests fit
 * between two collections, which then held up others for longer (tests/hostile, leases).
 */
const YOUNG_BYTES = 16 * 1024 * 1024;

/** Time between two collections below which the space for young objects is too small. */
const FREQUENT_MS = 250;

/** V8's own growth of that space when much of it survives a collection; 1 is none. */
const GROWTH = 2;

/** Growth at which old objects are collected, in percent; V8 lets them grow fourfold. */
const OLD_PERCENT = 40;

/**
 * Makes the settings. Call it before anything else is loaded, and the returned function when the
 * start is over. What a start loads stays, so that V8 would double the space for young objects with
 * each collection. An idle daemon never uses it (9 MB).
 */
export function keepHeapLean(): () => void {
  growYoung(1);
  setFlagsFromString(`--heap-growing-percent=${OLD_PERCENT}`);
  // The compiler's finished jobs are freed at once. They waited for a thread that had nothing else
  // to do, and held 25 MB when a load set in. The C library then kept that.
  setFlagsFromString('--no-maglev-destroy-on-background');
  return watchCollections;
}

/** Lets the space for young objects grow up to its limit while it is collected often. */
function watchCollections(): void {
  let last = 0;
  let factor = 1;
  const observer = new PerformanceObserver((list) => {
    const [entry] = list.getEntries();
    const startedAt = entry?.startTime ?? 0;
    const isFrequent = startedAt - last < FREQUENT_MS;
    last = startedAt;
    const wanted = isFrequent && youngBytes() < YOUNG_BYTES ? GROWTH : 1;
    if (wanted !== factor) growYoung(wanted);
    factor = wanted;
  });
  observer.observe({ entryTypes: ['gc'] });
}

function growYoung(factor: number): void {
  setFlagsFromString(`--semi-space-growth-factor=${factor}`);
}

function youngBytes(): number {
  return getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')?.space_size ?? 0;
}
