/**
 * Does a worker's jobs in the test's own process, on the test's clock, for weeks of token life in a
 * second.
 */

import type { Clock } from '../../src/base/clock.ts';
import { AipassError } from '../../src/base/errors.ts';
import { runConsent } from '../../src/refreshers/worker/consent.ts';
import type { WorkerJob, WorkerReport } from '../../src/refreshers/worker/job.ts';
import { refreshAccount } from '../../src/refreshers/worker/refresh.ts';
import { revokeAccount } from '../../src/refreshers/worker/revoke.ts';
import type { JobOptions, TokenWorker } from '../../src/refreshers/worker-process.ts';

/** Worker without a process. */
export class InProcessWorker implements TokenWorker {
  readonly #clock: Clock;
  /** Holds the jobs so far. */
  readonly jobs: WorkerJob[] = [];
  /** Replaces the network. */
  fetch: typeof fetch = fetch;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async run(job: WorkerJob, { conversation, onReport, onStart }: JobOptions = {}): Promise<WorkerReport> {
    this.jobs.push(job);
    onStart?.();
    const deps = { clock: this.#clock, fetch: this.fetch, ...(onReport === undefined ? {} : { onUnsaved: onReport }) };
    try {
      if (job.kind === 'refresh') return { kind: 'outcome', ...(await refreshAccount(job, deps)) };
      if (job.kind === 'revoke') return await revokeAccount(job, deps);
      return await runConsent(job, deps, {
        prompt: (prompt) => conversation?.onPrompt(prompt),
        onPasted: (callback) => conversation?.onStarted(callback),
        signal: conversation?.signal ?? new AbortController().signal,
      });
    } catch (error) {
      if (error instanceof AipassError) return { kind: 'refused', error: error.toWire() };
      throw error;
    }
  }
}
