/**
 * Waiting for a daemon that a service manager starts.
 */

import { foregroundClock } from '../base/clock.ts';
import { AipassError } from '../base/errors.ts';
import { delay } from '../base/timeout.ts';
import { connect, type Aipass } from '../client/index.ts';
import type { Status } from '../protocol/status.ts';

/** Maximum time that a start may take, in milliseconds: as long as the units' TimeoutStartSec. */
const READY_LIMIT_MS = 30_000;
const TRY_MS = 100;

/**
 * Resolves with the status of the daemon on a socket once it answers.
 *
 * @throws AipassError DAEMON_UNREACHABLE when it does not within 30 s.
 */
export async function waitUntilReady(socket: string): Promise<Status> {
  const deadline = performance.now() + READY_LIMIT_MS;
  for (;;) {
    let aipass: Aipass | undefined;
    try {
      aipass = await connect({ caller: 'cli', socket });
      return await aipass.status();
    } catch (error) {
      const isLate = performance.now() > deadline;
      if (!(error instanceof AipassError) || error.code !== 'DAEMON_UNREACHABLE' || isLate) throw error;
      await delay(foregroundClock, TRY_MS);
    } finally {
      await aipass?.close();
    }
  }
}
