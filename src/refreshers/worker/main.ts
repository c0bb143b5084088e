/**
 * The worker process: does one job and ends. Started by worker-process.ts in a session of its own, so that it outlives
 * the daemon: an exchange that has begun is finished, and what it brought is on disk, whatever becomes of the daemon.
 *
 * One job and nothing else comes in by standard input, reports go out by standard output; losing either is no reason to
 * leave an exchange unfinished. Nothing is logged: a failure nobody foresaw says its error's name only.
 */

import { createInterface } from 'node:readline';
import { AipassError } from '../../base/errors.ts';
import { systemClock } from '../../base/clock.ts';
import type { ConsentChannel } from './consent-channel.ts';
import { runConsent } from './consent-job.ts';
import { LATE_LIMIT_MS } from './save-tokens.ts';
import type { WorkerJob, WorkerReport } from './job.ts';
import { refreshAccount } from './refresh-job.ts';
import { revokeAccount } from './revoke-job.ts';
import type { WorkerTools } from './token-client.ts';

/** Bounds a worker's life beyond what its waits add up to, in milliseconds. */
const LIFE_LIMIT_MS = 8 * 60_000;

const tools: WorkerTools = {
  clock: systemClock,
  fetch,
  // Said at once, so that it is loud; what becomes of it is the last report.
  onUnsaved: (outcome) => {
    clearTimeout(lifeLimit);
    lifeLimit = setTimeout(() => process.exit(1), LIFE_LIMIT_MS + LATE_LIMIT_MS);
    process.stdout.write(`${JSON.stringify({ kind: 'outcome', outcome })}\n`);
  },
};

process.umask(0o077);
// A service manager that stops the whole group asks first: what has begun comes to its end within its own limits.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => {});
process.stdout.on('error', () => {});

const lines = createInterface({ input: process.stdin });
const ended = new AbortController();
let pasted: ((address: string) => void) | undefined;
let started = false;
let lifeLimit: NodeJS.Timeout | undefined;

lines.on('line', (line) => {
  if (started) {
    const message: unknown = parse(line);
    if (typeof message === 'object' && message !== null && 'redirect' in message) pasted?.(String(message.redirect));
    return;
  }
  started = true;
  const job = parse(line);
  if (!isJob(job)) process.exit(1);
  void work(job);
});
lines.on('close', () => {
  ended.abort(new AipassError('CANCELLED', 'the consent was ended before it was given'));
  if (!started) process.exit(1);
});

async function work(job: WorkerJob): Promise<void> {
  const report = await run(job);
  process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(0));
}

async function run(job: WorkerJob): Promise<WorkerReport> {
  const consentMs = job.kind === 'consent' ? job.request.timeoutMs : 0;
  lifeLimit = setTimeout(() => process.exit(1), LIFE_LIMIT_MS + consentMs);
  try {
    if (job.kind === 'refresh') return { kind: 'outcome', ...(await refreshAccount(job, tools)) };
    if (job.kind === 'revoke') return await revokeAccount(job, tools);
    return await runConsent(job, tools, channel(consentMs));
  } catch (error) {
    const name = error instanceof Error ? error.name : 'unknown';
    const refusal =
      error instanceof AipassError
        ? error
        : new AipassError('INTERNAL', `the worker failed: ${name}`, { hint: 'report it' });
    return { kind: 'refused', error: refusal.toWire() };
  }
}

function channel(timeoutMs: number): ConsentChannel {
  setTimeout(() => {
    ended.abort(new AipassError('TIMED_OUT', 'nobody consented in time', { hint: 'start again' }));
  }, timeoutMs);
  return {
    prompt: (prompt) => process.stdout.write(`${JSON.stringify({ kind: 'prompt', prompt })}\n`),
    onPasted: (callback) => {
      pasted = callback;
    },
    signal: ended.signal,
  };
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** Tells whether a message is a job; its fields are as worker-process.ts of this same version wrote them. */
function isJob(value: unknown): value is WorkerJob {
  if (typeof value !== 'object' || value === null || !('kind' in value) || !('account' in value)) return false;
  return value.kind === 'refresh' || value.kind === 'consent' || value.kind === 'revoke';
}
