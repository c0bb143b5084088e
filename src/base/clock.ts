/**
 * Source of all time. Parts take a Clock in their constructor, so that tests move time instead of
 * waiting for it.
 */

/** Wall time, a monotonic reading for durations, and timers. */
export interface Clock {
  /** Returns wall time in epoch milliseconds. */
  now(): number;
  /** Returns a reading that only grows, in milliseconds, for durations. */
  monotonic(): number;
  /** Calls back once after a delay in milliseconds; the returned function cancels that. */
  after(delayMs: number, callback: () => void): () => void;
}

/** The machine's clock. Its timers do not keep the process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** The machine's clock, whose timers keep the process alive. */
export const foregroundClock: Clock = {
  ...systemClock,
  after: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};
