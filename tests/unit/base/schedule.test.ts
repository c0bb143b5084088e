import { describe, expect, it } from 'vitest';
import { startSchedule } from '../../../src/base/schedule.ts';
import { recordingLogger } from '../../support/recording-logger.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const MINUTE = 60_000;

describe('a schedule', () => {
  it('runs its job at the times of the pattern, and never waits longer than 30 seconds', async () => {
    const clock = new ManualClock(Date.parse('2026-03-01T12:00:30Z'));
    const runs: string[] = [];
    const logger = recordingLogger();
    const stop = startSchedule('* * * * *', () => void runs.push(new Date(clock.now()).toISOString()), {
      name: 'job',
      logger,
      clock,
    });

    for (let second = 0; second < 180; second++) {
      expect(Math.max(...clock.waits)).toBeLessThanOrEqual(30_000);
      clock.advance(1000);
      await Promise.resolve();
      await Promise.resolve();
    }
    await stop();

    expect(runs).toEqual(['2026-03-01T12:01:00.000Z', '2026-03-01T12:02:00.000Z', '2026-03-01T12:03:00.000Z']);
  });

  it('runs once for all that it missed while the machine slept', async () => {
    const clock = new ManualClock(Date.parse('2026-03-01T12:00:30Z'));
    let runs = 0;
    const stop = startSchedule('* * * * *', () => void (runs += 1), {
      name: 'job',
      logger: recordingLogger(),
      clock,
    });

    clock.suspend(8 * 60 * MINUTE);
    clock.advance(30_000);
    await stop();

    expect(runs).toBe(1);
  });

  it('does not overlap itself, and says so', async () => {
    const clock = new ManualClock(Date.parse('2026-03-01T12:00:30Z'));
    const logger = recordingLogger();
    const { promise, resolve } = Promise.withResolvers<void>();
    let runs = 0;
    const job = (): Promise<void> => {
      runs += 1;
      return promise;
    };
    const stop = startSchedule('* * * * *', job, { name: 'job', logger, clock });

    clock.advance(3 * MINUTE);
    expect(runs).toBe(1);
    expect(JSON.stringify(logger.lines)).toContain('still runs');
    resolve();
    await stop();
  });

  it('logs a job that fails and runs it again at its next time', async () => {
    const clock = new ManualClock(Date.parse('2026-03-01T12:00:30Z'));
    const logger = recordingLogger();
    let runs = 0;
    const stop = startSchedule(
      '* * * * *',
      () => {
        runs += 1;
        return Promise.reject(new Error('no'));
      },
      { name: 'job', logger, clock },
    );

    clock.advance(MINUTE);
    await new Promise(setImmediate);
    clock.advance(MINUTE);
    await stop();

    expect(runs).toBe(2);
    expect(logger.lines.filter(({ message }) => String(message).includes('failed'))).toHaveLength(2);
  });

  it('keeps its rhythm when the clock is set back by an hour', async () => {
    const clock = new ManualClock(Date.parse('2026-03-01T12:00:30Z'));
    let runs = 0;
    const stop = startSchedule('* * * * *', () => void (runs += 1), {
      name: 'job',
      logger: recordingLogger(),
      clock,
    });

    clock.jump(-60 * MINUTE);
    clock.advance(2 * MINUTE);
    await stop();

    expect(runs).toBeGreaterThanOrEqual(1);
  });

  it('refuses what is no pattern, and one that never comes', () => {
    const options = { name: 'job', logger: recordingLogger(), clock: new ManualClock() };

    expect(() => startSchedule('every minute', () => {}, options)).toThrow('every minute');
    expect(() => startSchedule('0 0 30 2 *', () => {}, options)).toThrow('0 0 30 2 *');
  });
});
