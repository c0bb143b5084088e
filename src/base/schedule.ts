/**
 * Runs a job at the times that a cron pattern names, on the injected clock. Owns the croner
 * package.
 *
 * croner computes the times. The waiting is ours, in steps of at most 30 s. So a machine that slept
 * runs what it missed once, soon after it wakes. A job never overlaps itself, and one that fails is
 * logged and runs at its next time.
 */

import { Cron } from 'croner';
import type { Clock } from './clock.ts';
import { AipassError } from './errors.ts';
import type { Logger } from './logger.ts';
import { MAX_STEP_MS } from './timers.ts';

/** Dependencies of a schedule. */
export interface ScheduleDeps {
  /** Name of the job in the log. */
  readonly name: string;
  readonly logger: Logger;
  readonly clock: Clock;
}

/**
 * Starts a schedule; the returned function ends it and resolves when a job that is running has
 * ended.
 *
 * @throws AipassError BAD_REQUEST when the pattern is not valid, or matches no time that will ever
 * come.
 */
export function startSchedule(
  pattern: string,
  job: () => Promise<void> | void,
  deps: ScheduleDeps,
): () => Promise<void> {
  const { name, logger, clock } = deps;
  const { cron, first } = readPattern(pattern, `the schedule of ${name}`, clock.now());
  let next: number | null = first;
  let lastStep = clock.now();
  let running: Promise<void> | undefined;
  let cancel: (() => void) | undefined;
  let stopped = false;

  const run = async (): Promise<void> => {
    try {
      await job();
    } catch (error) {
      logger.error(`the job ${name} failed`, { error });
    } finally {
      running = undefined;
    }
  };

  const step = (): void => {
    if (stopped) return;
    const now = clock.now();
    if (next !== null && now >= next) {
      if (running === undefined) running = run();
      else logger.warn(`the job ${name} still runs and was not started again`);
      next = nextRun(cron, now);
    } else if (now < lastStep) {
      // The wall clock was set back: the old time may be an hour too far away.
      next = nextRun(cron, now);
    }
    lastStep = now;
    cancel = clock.after(Math.min(MAX_STEP_MS, Math.max(1, (next ?? now + MAX_STEP_MS) - now)), step);
  };
  step();

  return async () => {
    stopped = true;
    cancel?.();
    await running;
  };
}

/** Throws as startSchedule would; `what` names the pattern in the message. */
export function assertSchedule(pattern: string, what: string, now: number): void {
  readPattern(pattern, what, now);
}

function readPattern(pattern: string, what: string, now: number): { readonly cron: Cron; readonly first: number } {
  const hint = 'write five fields such as "*/5 * * * *" (minute, hour, day, month, weekday)';
  let cron: Cron;
  try {
    cron = new Cron(pattern, { paused: true });
  } catch (error) {
    throw new AipassError('BAD_REQUEST', `${what}: invalid cron pattern (got "${pattern}")`, { hint, cause: error });
  }
  const first = nextRun(cron, now);
  if (first === null)
    throw new AipassError('BAD_REQUEST', `${what}: this time never comes (got "${pattern}")`, { hint });
  return { cron, first };
}

function nextRun(cron: Cron, after: number): number | null {
  return cron.nextRun(new Date(after))?.getTime() ?? null;
}
