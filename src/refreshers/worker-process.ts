/**
 * Starts worker processes and listens to them. Each is the leader of a session of its own: neither a signal to the
 * daemon's group nor the daemon's death reaches it. Nothing of a job is in argv or in the environment.
 */

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { ConsentPrompt } from '../protocol/oauth.ts';
import type { RefreshOutcome } from './outcome.ts';
import type { WorkerJob, WorkerReport } from './worker/job.ts';

/** Is the live side of a job: what the worker asks of the user, and what the user answers. */
export interface JobConversation {
  onPrompt(prompt: ConsentPrompt): void;
  /** Hands over the function that passes a pasted redirect address on. */
  onStarted(paste: (address: string) => void): void;
  /** Ends the conversation; an exchange that has begun is finished all the same. */
  readonly signal: AbortSignal;
}

/** Is told of an outcome while its worker still lives. */
export type ReportListener = (outcome: RefreshOutcome) => void;

/** Does jobs that talk to OAuth providers. */
export interface TokenWorker {
  /**
   * Does one job and resolves with its last report. `onReport` is told of each outcome as it is reported: of tokens that
   * cannot be written yet long before the end. Rejects only when no worker could be started, or one died without a word.
   */
  run(job: WorkerJob, conversation?: JobConversation, onReport?: ReportListener): Promise<WorkerReport>;
}

/** Names the variables that a worker may inherit: how to reach the network, and nothing that could hold a secret of ours. */
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

/** Is the worker's entry file, beside this one in `src` and in `dist` alike. */
const ENTRY = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? './worker/main.ts' : './worker/main.js', import.meta.url),
);

/** Does each job in a process of its own. */
export class WorkerProcess implements TokenWorker {
  readonly #running = new Set<Promise<unknown>>();

  run(job: WorkerJob, conversation?: JobConversation, onReport?: ReportListener): Promise<WorkerReport> {
    const running = runWorker(job, conversation, onReport);
    this.#running.add(running);
    const forget = (): void => {
      this.#running.delete(running);
    };
    running.then(forget, forget);
    return running;
  }

  /** Resolves when no worker is running, or after `limitMs`; what still runs then goes on without us. */
  async settle(limitMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise((resolve) => {
      timer = setTimeout(resolve, limitMs);
    });
    await Promise.race([Promise.allSettled(this.#running), limit]);
    clearTimeout(timer);
  }
}

function runWorker(
  job: WorkerJob,
  conversation: JobConversation | undefined,
  onReport: ReportListener | undefined,
): Promise<WorkerReport> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ENTRY], {
    detached: true,
    cwd: '/',
    env: inheritedEnvironment(),
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const { stdin, stdout } = child;
  return new Promise((resolve, reject) => {
    let last: WorkerReport | undefined;
    stdin.on('error', () => {});
    stdout.on('error', () => {});
    createInterface({ input: stdout }).on('line', (line) => {
      const report = parseReport(line);
      if (report?.kind === 'prompt') conversation?.onPrompt(report.prompt);
      else last = report ?? last;
      if (report?.kind === 'outcome') onReport?.(report.outcome);
    });
    const end = (): void => {
      stdin.end();
    };
    child.once('error', (error) => reject(new Error(`no worker could be started: ${error.message}`)));
    child.once('close', (code, signal) => {
      conversation?.signal.removeEventListener('abort', end);
      if (last !== undefined) resolve(last);
      else reject(new Error(`a worker ended without a word (${signal ?? `code ${String(code)}`})`));
    });
    stdin.write(`${JSON.stringify(job)}\n`);
    if (conversation === undefined) stdin.end();
    else {
      conversation.onStarted((address) => stdin.write(`${JSON.stringify({ redirect: address })}\n`));
      if (conversation.signal.aborted) end();
      else conversation.signal.addEventListener('abort', end, { once: true });
    }
  });
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
  try {
    const value: unknown = JSON.parse(line);
    return isReport(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isReport(value: unknown): value is WorkerReport {
  if (typeof value !== 'object' || value === null || !('kind' in value)) return false;
  return ['prompt', 'outcome', 'consented', 'revoked', 'refused'].includes(String(value.kind));
}
