/**
 * Worker process: does one job after the other, and ends when no more comes. Started by
 * worker-process.ts in a session of its own, so that it outlives the daemon. An exchange that has
 * begun is finished, and its tokens are on disk, whatever happens to the daemon.
 *
 * Jobs come in by standard input, reports go out by standard output; losing either is not a reason
 * to leave an exchange unfinished. Nothing is logged: of a failure that nobody foresaw the error's
 * name is reported, and nothing else.
 */

import '../../base/no-debugger.ts';
import { createInterface } from 'node:readline';
import { AipassError } from '../../base/errors.ts';
import { systemClock } from '../../base/clock.ts';
import { isRecord, parseJson } from '../../base/json.ts';
import type { WorkerDeps } from './client.ts';
import type { ConsentChannel, WorkerJob, WorkerReport } from './job.ts';
import { LATE_LIMIT_MS, refreshAccount } from './refresh.ts';
import { consentErrors, workerFailed } from '../messages.ts';

/** Longest time for one job, in milliseconds: more than all of its waits. */
const LIFE_LIMIT_MS = 8 * 60_000;

const deps: WorkerDeps = {
  clock: systemClock,
  fetch,
  // Reported at once, so that it is noticed; what becomes of it is the last report.
  onUnsaved: (outcome) => {
    clearTimeout(lifeLimit);
    lifeLimit = setTimeout(() => process.exit(1), LIFE_LIMIT_MS + LATE_LIMIT_MS);
    process.stdout.write(`${JSON.stringify({ kind: 'outcome', outcome })}\n`);
  },
};

process.umask(0o077);
// A service manager that stops the whole group asks first: what has begun comes to its end within
// its own limits.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => {});
process.stdout.on('error', () => {});

const lines = createInterface({ input: process.stdin });
const ended = new AbortController();
let pasted: ((address: string) => void) | undefined;
let isRunning = false;
let isLast = false;
let lifeLimit: NodeJS.Timeout | undefined;

lines.on('line', (line) => {
  const message = parseJson(line);
  if (isRunning) {
    if (isRecord(message) && 'redirect' in message) pasted?.(String(message['redirect']));
    return;
  }
  if (!isJob(message)) process.exit(1);
  isRunning = true;
  void work(message);
});
lines.on('close', () => {
  isLast = true;
  ended.abort(consentErrors.ended());
  if (!isRunning) process.exit(0);
});

async function work(job: WorkerJob): Promise<void> {
  const report = await run(job);
  clearTimeout(lifeLimit);
  isRunning = false;
  const idle: WorkerReport = { kind: 'idle' };
  process.stdout.write(`${JSON.stringify(report)}\n${JSON.stringify(idle)}\n`, () => {
    if (isLast && !isRunning) process.exit(0);
  });
}

async function run(job: WorkerJob): Promise<WorkerReport> {
  const consentMs = job.kind === 'consent' ? job.request.timeoutMs : 0;
  lifeLimit = setTimeout(() => process.exit(1), LIFE_LIMIT_MS + consentMs);
  try {
    if (job.kind === 'refresh') return { kind: 'outcome', ...(await refreshAccount(job, deps)) };
    // A refresh, of which there are many, does not load what the others need.
    if (job.kind === 'revoke') return await (await import('./revoke.ts')).revokeAccount(job, deps);
    return await (await import('./consent.ts')).runConsent(job, deps, channel(consentMs));
  } catch (error) {
    const refusal = error instanceof AipassError ? error : workerFailed(error);
    return { kind: 'refused', error: refusal.toWire() };
  }
}

function channel(timeoutMs: number): ConsentChannel {
  setTimeout(() => {
    ended.abort(consentErrors.timedOut());
  }, timeoutMs);
  return {
    prompt: (prompt) => process.stdout.write(`${JSON.stringify({ kind: 'prompt', prompt })}\n`),
    onPasted: (callback) => {
      pasted = callback;
    },
    signal: ended.signal,
  };
}

/** Returns whether a message is a job, as worker-process.ts of this same version wrote it. */
function isJob(value: unknown): value is WorkerJob {
  return isRecord(value) && 'account' in value && ['refresh', 'consent', 'revoke'].includes(String(value['kind']));
}
