import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { UsageThread } from '../../../src/usage/thread.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { recordingLogger } from '../../support/recording-logger.ts';

it('a thread that the system does not allow is started later, and ends nothing', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'aip-thread-'));
  const clock = new ManualClock();
  const logger = recordingLogger();
  let isAllowed = false;
  const data = {
    database: join(folder, 'usage.db'),
    journalFolder: join(folder, 'queue'),
    /**
     * Cannot be handed to a thread, so that making one throws, as it does where the system refuses.
     */
    get obstacle() {
      return isAllowed ? null : () => {};
    },
  };
  const thread = new UsageThread(data, clock, logger);
  // In a timer, where nobody could catch it.
  thread.recorded(1);
  clock.advance(250);
  await expect(thread.call('bytes')).rejects.toMatchObject({ code: 'INTERNAL' });
  clock.advance(3000);
  expect(thread.isAsleep).toBe(false);
  expect(logger.lines).toMatchObject([{ level: 'error', message: 'the usage thread cannot be started' }]);
  // Only the next try: what waited to let a thread go that never was is not there.
  expect(clock.waits).toHaveLength(1);

  isAllowed = true;
  clock.advance(1000);
  expect(await thread.call('bytes')).toBeGreaterThan(0);
  await thread.close();
  await expect(thread.call('bytes')).rejects.toMatchObject({ code: 'CANCELLED' });
  rmSync(folder, { recursive: true, force: true });
});
