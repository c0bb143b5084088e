/**
 * Where all time comes from. Parts take a Clock in their constructor, so that tests move time instead of waiting for it.
 */

/** Gives wall time, a monotonic reading for durations, and timers. */
export interface Clock {
  /** Returns wall time in epoch milliseconds. */
  now(): number;
  /** Returns a reading that only grows, in milliseconds, for durations. */
  monotonic(): number;
  /** Calls back once after a delay in milliseconds; the returned function takes that back. Never keeps the process alive. */
  after(delayMs: number, callback: () => void): () => void;
}

/** Is the machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};
