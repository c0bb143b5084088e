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

/** Most workers at once, of some 20 MB each, besides those that wait for a user's consent. */
export const MAX_WORKERS = 8;

/** Live side of a consent: what the worker asks of the user, and what the user answers. */
export interface Conversation {
  onPrompt(prompt: ConsentPrompt): void;
  /** Hands over the function that passes a pasted redirect address on. */
  onStarted(paste: (address: string) => void): void;
  /** Ends the conversation; an exchange that has begun is finished all the same. */
  readonly signal: AbortSignal;
}

export interface JobOptions {
  readonly conversation?: Conversation;
  /** Called with each outcome; for tokens that cannot be written yet, long before the job ends. */
  readonly onReport?: (outcome: RefreshOutcome) => void;
  /** Called when a worker takes the job. */
  readonly onStart?: () => void;
  /** Returns whether a caller waits for the job now. */
  readonly isUrgent?: () => boolean;
}

/** Does jobs that talk to OAuth providers. */
export interface TokenWorker {
  /** Does one job, and resolves with its last report; rejects where a worker died without one. */
  run(job: WorkerJob, options?: JobOptions): Promise<WorkerReport>;
}

/** Variables that a worker inherits: how to reach the network, and no secret of ours. */
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
    if (job.kind === 'consent') startWorker(queued);
    else {
      this.#queue.push(queued);
      this.#fill();
    }
    return promise;
  }

  /** Resolves when no worker is running, or after a limit; what still runs goes on without us. */
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
function startWorker(first: QueuedJob, next?: () => QueuedJob | undefined, leave?: () => void): void {
  let current: QueuedJob | undefined = first;
  let isInPlace = true;
  const leaveOnce = (): void => {
    if (isInPlace) leave?.();
    isInPlace = false;
  };
  const end = (problem: string): void => {
    if (current !== undefined) settle(current, problem);
    current = undefined;
    leaveOnce();
  };
  const fail = (error: unknown): void => {
    end(`no worker could be started: ${error instanceof Error ? error.message : String(error)}`);
  };
  let child: ChildProcess;
  try {
    child = spawn(process.execPath, ['--disable-sigusr1', '--disable-warning=ExperimentalWarning', ENTRY], {
      detached: true,
      cwd: '/',
      env: inheritedEnvironment(),
      stdio: ['pipe', 'pipe', 'ignore'],
    });
  } catch (error) {
    // Not at once: run() returns first, as it does before the event `error`.
    process.nextTick(fail, error);
    return;
  }
  child.once('error', fail);
  child.once('close', (code, signal) => end(`a worker ended without a report (${signal ?? `code ${String(code)}`})`));
  const { stdin, stdout } = child;
  // Without free file descriptors there is a child without pipes, and its error.
  if (!stdin || !stdout) return;
  const give = (queued: QueuedJob): void => {
    current = queued;
    queued.options.onStart?.();
    stdin.write(`${JSON.stringify(queued.job)}\n`);
    if (queued.options.conversation !== undefined) converse(child, queued.options.conversation);
  };
  stdin.on('error', () => {});
  stdout.on('error', () => {});
  createInterface({ input: stdout }).on('line', (line) => {
    const report = parseJson(line);
    if (!isReport(report) || current === undefined) return;
    const { options } = current;
    if (report.kind === 'idle') {
      settle(current, 'a worker gave no report');
      current = undefined;
      const queued = isInPlace ? next?.() : undefined;
      if (queued === undefined) stdin.end();
      else give(queued);
    } else if (report.kind === 'prompt') options.conversation?.onPrompt(report.prompt);
    else current.last = report;
    if (report.kind !== 'outcome') return;
    if (report.outcome.kind === 'unsaved') leaveOnce();
    options.onReport?.(report.outcome);
  });
  give(first);
}

function settle(queued: QueuedJob, problem: string): void {
  if (queued.last !== undefined) queued.resolve(queued.last);
  else queued.reject(new Error(problem));
}

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
  return Object.fromEntries(INHERITED.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])));
}

/** Returns whether a value is a report, as a worker of this same version wrote it. */
function isReport(value: unknown): value is WorkerReport {
  if (!isRecord(value)) return false;
  return ['prompt', 'outcome', 'consented', 'revoked', 'refused', 'idle'].includes(String(value['kind']));
}
