/**
 * Worker processes, and the one queue in which refreshes wait for one.
 *
 * Each worker is the leader of a session of its own: neither a signal to the daemon's group nor the
 * daemon's death reaches it. Nothing of a job is in argv or in the environment. A refresh that a
 * caller waits for goes before the others. While refreshes wait, a worker that has finished one
 * takes the next, because most of their cost is its start.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../base/clock.ts';
import { isRecord, parseJson } from '../base/json.ts';
import { withTimeout } from '../base/timers.ts';
import type { ConsentPrompt } from '../protocol/oauth.ts';
import type { RefreshOutcome, WorkerJob, WorkerReport } from './worker/job.ts';

/**
 * Most workers at once, besides those that wait for a user's consent: each is a process of some 20
 * MB.
 */
export const MAX_WORKERS = 8;

/** Live side of a consent: what the worker asks of the user, and what the user answers. */
export interface Conversation {
  onPrompt(prompt: ConsentPrompt): void;
  /** Hands over the function that passes a pasted redirect address on. */
  onStarted(paste: (address: string) => void): void;
  /** Ends the conversation; an exchange that has begun is finished all the same. */
  readonly signal: AbortSignal;
}

/** What a job is run with. */
export interface JobOptions {
  readonly conversation?: Conversation;
  /**
   * Called with each outcome as it is reported: of tokens that cannot be written yet long before
   * the end.
   */
  readonly onReport?: (outcome: RefreshOutcome) => void;
  /** Called when a worker takes the job. */
  readonly onStart?: () => void;
  /** Returns whether a caller waits for the job now. */
  readonly isUrgent?: () => boolean;
}

/** Does jobs that talk to OAuth providers. */
export interface TokenWorker {
  /**
   * Does one job and resolves with its last report. Rejects only when no worker could be started,
   * or one died without a report.
   */
  run(job: WorkerJob, options?: JobOptions): Promise<WorkerReport>;
}

/**
 * Variables that a worker may inherit: how to reach the network, and nothing that could hold a
 * secret of ours.
 */
const INHERITED = [
  'HTTP_PROXY',
  'HTTPS_PROXY',
  'NO_PROXY',
  'http_proxy',
  'https_proxy',
  'no_proxy',
  'NODE_USE_ENV_PROXY',
  'NODE_USE_SYSTEM_CA',
  'NODE_EXTRA_CA_CERTS',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'LANG',
  'TZ',
] as const;

/** The worker's entry file, beside this one in `src` and in `dist` alike. */
const ENTRY = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? './worker/main.ts' : './worker/main.js', import.meta.url),
);

/** Job that waits for a worker, or is done by one. */
interface QueuedJob {
  readonly job: WorkerJob;
  readonly options: JobOptions;
  readonly resolve: (report: WorkerReport) => void;
  readonly reject: (error: Error) => void;
  last: WorkerReport | undefined;
}

/** Does jobs in processes of their own. */
export class WorkerProcesses implements TokenWorker {
  readonly #running = new Set<Promise<unknown>>();
  readonly #queue: QueuedJob[] = [];
  #workers = 0;

  run(job: WorkerJob, options: JobOptions = {}): Promise<WorkerReport> {
    const { promise, resolve, reject } = Promise.withResolvers<WorkerReport>();
    const queued: QueuedJob = { job, options, resolve, reject, last: undefined };
    this.#running.add(promise);
    const forget = (): void => {
      this.#running.delete(promise);
    };
    promise.then(forget, forget);
    // A consent waits for a person, for minutes: it must not keep others from their tokens.
    if (job.kind === 'consent')
      startWorker(
        queued,
        () => undefined,
        () => {},
      );
    else {
      this.#queue.push(queued);
      this.#fill();
    }
    return promise;
  }

  /**
   * Resolves when no worker is running, or after `limitMs`; what still runs then goes on without
   * us.
   */
  async settle(limitMs: number): Promise<void> {
    await withTimeout<unknown, void>(systemClock, limitMs, Promise.allSettled(this.#running), () => {});
  }

  #fill(): void {
    while (this.#workers < MAX_WORKERS) {
      const queued = this.#next();
      if (queued === undefined) return;
      this.#workers += 1;
      startWorker(
        queued,
        () => this.#next(),
        () => {
          this.#workers -= 1;
          this.#fill();
        },
      );
    }
  }

  #next(): QueuedJob | undefined {
    const urgent = this.#queue.findIndex(({ options }) => options.isUrgent?.() === true);
    return this.#queue.splice(Math.max(0, urgent), 1)[0];
  }
}

/**
 * Starts a worker with its first job; `next` returns each further one. `leave` is called once, when
 * the worker's place is free. That is when it ends, or when it holds tokens that it cannot write,
 * which can take an hour.
 */
function startWorker(first: QueuedJob, next: () => QueuedJob | undefined, leave: () => void): void {
  const child = spawn(process.execPath, ['--disable-sigusr1', '--disable-warning=ExperimentalWarning', ENTRY], {
    detached: true,
    cwd: '/',
    env: inheritedEnvironment(),
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const { stdin, stdout } = child;
  let current: QueuedJob | undefined;
  let isInPlace = true;
  const leaveOnce = (): void => {
    if (isInPlace) leave();
    isInPlace = false;
  };
  const give = (queued: QueuedJob): void => {
    current = queued;
    queued.options.onStart?.();
    stdin.write(`${JSON.stringify(queued.job)}\n`);
    if (queued.options.conversation !== undefined) converse(child, queued.options.conversation);
  };
  stdin.on('error', () => {});
  stdout.on('error', () => {});
  createInterface({ input: stdout }).on('line', (line) => {
    const report = parseReport(line);
    if (report === undefined || current === undefined) return;
    const { options } = current;
    if (report.kind === 'idle') {
      settle(current, undefined);
      current = undefined;
      const queued = isInPlace ? next() : undefined;
      if (queued === undefined) stdin.end();
      else give(queued);
    } else if (report.kind === 'prompt') options.conversation?.onPrompt(report.prompt);
    else current.last = report;
    if (report.kind !== 'outcome') return;
    if (report.outcome.kind === 'unsaved') leaveOnce();
    options.onReport?.(report.outcome);
  });
  child.once('error', (error) => {
    if (current !== undefined) current.reject(new Error(`no worker could be started: ${error.message}`));
    current = undefined;
    leaveOnce();
  });
  child.once('close', (code, signal) => {
    if (current !== undefined) settle(current, `a worker ended without a report (${signal ?? `code ${String(code)}`})`);
    current = undefined;
    leaveOnce();
  });
  give(first);
}

function settle(queued: QueuedJob, problem: string | undefined): void {
  if (queued.last !== undefined) queued.resolve(queued.last);
  else queued.reject(new Error(problem ?? 'a worker gave no report'));
}

/** Connects a consent's user with the worker. */
function converse(child: ChildProcess, conversation: Conversation): void {
  const { stdin } = child;
  const end = (): void => {
    stdin?.end();
  };
  child.once('close', () => conversation.signal.removeEventListener('abort', end));
  conversation.onStarted((address) => stdin?.write(`${JSON.stringify({ redirect: address })}\n`));
  if (conversation.signal.aborted) end();
  else conversation.signal.addEventListener('abort', end, { once: true });
}

function inheritedEnvironment(): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const name of INHERITED) {
    const value = process.env[name];
    if (value !== undefined) environment[name] = value;
  }
  return environment;
}

/** Parses a line that our own worker, of this same version, printed. */
function parseReport(line: string): WorkerReport | undefined {
  const value = parseJson(line);
  return isReport(value) ? value : undefined;
}

function isReport(value: unknown): value is WorkerReport {
  if (!isRecord(value)) return false;
  return ['prompt', 'outcome', 'consented', 'revoked', 'refused', 'idle'].includes(String(value['kind']));
}
