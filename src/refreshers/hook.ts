/**
 * Runs the user's own commands when something is to be told: no shell, one at a time, within a time limit. What is told
 * goes to the command's standard input as JSON and into a few variables; none of it is a secret.
 */

import { spawn } from 'node:child_process';
import type { Logger } from '../base/logger.ts';
import type { Notice } from './notices.ts';

/** Is how long a command may run, in milliseconds. */
const HOOK_LIMIT_MS = 30_000;

/** Bounds how many commands wait for their turn; the oldest is dropped. */
const MAX_WAITING = 100;

/** Runs commands, one after the other. */
export class Hooks {
  readonly #logger: Logger;
  readonly #limitMs: number;
  readonly #waiting: { readonly command: readonly string[]; readonly notice: Notice }[] = [];
  #running: Promise<void> | undefined;
  #kill: (() => void) | undefined;
  #stopped = false;

  constructor(logger: Logger, limitMs = HOOK_LIMIT_MS) {
    this.#logger = logger;
    this.#limitMs = limitMs;
  }

  /** Has a command run as soon as those before it have ended. */
  run(command: readonly string[], notice: Notice): void {
    if (this.#stopped) return;
    this.#waiting.push({ command, notice });
    if (this.#waiting.length > MAX_WAITING) this.#waiting.shift();
    this.#running ??= this.#drain().finally(() => {
      this.#running = undefined;
    });
  }

  /** Ends the running command, forgets the waiting ones, and resolves when nothing runs any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#waiting.length = 0;
    this.#kill?.();
    await this.#running;
  }

  /** Resolves when no command runs or waits. */
  async settle(): Promise<void> {
    await this.#running;
  }

  async #drain(): Promise<void> {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      await this.#runOne(next.command, next.notice);
    }
  }

  #runOne(command: readonly string[], notice: Notice): Promise<void> {
    const [program, ...parameters] = command;
    if (program === undefined) return Promise.resolve();
    return new Promise((resolve) => {
      const child = spawn(program, parameters, {
        // A group of its own, so that what the command started ends with it.
        detached: true,
        stdio: ['pipe', 'ignore', 'ignore'],
        env: { ...process.env, AIPASSD_EVENT: notice.kind, AIPASSD_ACCOUNT: notice.account },
      });
      const kill = (): void => killGroup(child.pid);
      const limit = setTimeout(() => {
        this.#logger.warn('a hook was ended because it ran too long', { event: notice.kind, limitMs: this.#limitMs });
        kill();
      }, this.#limitMs);
      this.#kill = kill;
      const end = (): void => {
        clearTimeout(limit);
        this.#kill = undefined;
        resolve();
      };
      child.stdin.on('error', () => {});
      child.stdin.end(`${JSON.stringify(notice)}\n`);
      child.once('error', (error) => {
        child.removeAllListeners('close');
        this.#logger.warn('a hook could not be started', { event: notice.kind, error });
        end();
      });
      child.once('close', (code, signal) => {
        if (code !== 0) this.#logger.warn('a hook failed', { event: notice.kind, code, signal });
        end();
      });
    });
  }
}

/** Ends a process and all it started; a group that is gone already is as good. */
function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Gone already.
  }
}
