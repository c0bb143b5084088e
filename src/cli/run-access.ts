/**
 * Access of the program of `aipassd exec` to the gateway, given back after a restart of the daemon.
 *
 * The program has port and token in its environment, where nobody can change them. So the daemon is
 * asked to serve the same ones again; it gets the hash of the token, and checks every right anew.
 */

import { createHash } from 'node:crypto';
import { backoffMs, type Backoff } from '../base/backoff.ts';
import { foregroundClock } from '../base/clock.ts';
import { AipassError } from '../base/errors.ts';
import { delay } from '../base/timeout.ts';
import type { Aipass } from '../client/aipass.ts';
import type { GatewayAccess, GatewayOpenParams } from '../protocol/gateway.ts';
import type { Output } from './output.ts';

/** Waits between two attempts to get the access back. */
const BACKOFF: Backoff = { firstMs: 100, maxMs: 2000, jitter: 0.2 };

/**
 * How long the access may be gone before its user is told, in milliseconds: a restart is shorter.
 */
const PATIENCE_MS = 5000;

/** Keeps the access of a run until the returned function is called. */
export function keepAccess(
  aipass: Pick<Aipass, 'request' | 'onLost'>,
  run: GatewayOpenParams,
  { port, token }: Pick<GatewayAccess, 'port' | 'token'>,
  out: Pick<Output, 'error' | 'note'>,
): () => void {
  const ended = new AbortController();
  const params = { ...run, port, tokenHash: createHash('sha256').update(token).digest('hex') };
  let isReopening = false;
  const reopen = async (): Promise<void> => {
    const lostAt = foregroundClock.monotonic();
    let reported: string | undefined;
    for (let failures = 1; !ended.signal.aborted; failures += 1) {
      const waited = await delay(foregroundClock, backoffMs(BACKOFF, failures, Math.random), ended.signal);
      if (waited === 'aborted') return;
      try {
        await aipass.request('gateway.reopen', params, { signal: ended.signal });
        if (reported !== undefined) out.note(`aipassd serves ${run.program} again`);
        return;
      } catch (error) {
        const failure = error instanceof AipassError ? error : new AipassError('INTERNAL', 'the request failed');
        const isOld = foregroundClock.monotonic() - lostAt >= PATIENCE_MS;
        if (!isOld || ended.signal.aborted || failure.message === reported) continue;
        reported = failure.message;
        out.error(describeLoss(run.program, failure));
      }
    }
  };
  const onLost = (): void => {
    // A lost attempt is repeated by itself.
    if (isReopening) return;
    isReopening = true;
    void reopen().finally(() => {
      isReopening = false;
    });
  };
  const stopListening = aipass.onLost(onLost);
  return () => {
    stopListening();
    ended.abort();
  };
}

function describeLoss(program: string, { code, message, hint }: AipassError): AipassError {
  return new AipassError(code, `${program} has no access to aipassd since its daemon restarted: ${message}`, { hint });
}
