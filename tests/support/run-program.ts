/**
 * Programs as processes: started, read, and ended by their own pid. Nothing outlives the test
 * process.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { afterTests } from './after-tests.ts';

/** How a program is started. */
export interface ProgramOptions {
  /** Its whole environment. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly cwd?: string | undefined;
  /** Written to its standard input, which is then closed; without it there is none. */
  readonly stdin?: string | undefined;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
}

/** How a program ended: with a code, or by a signal. */
export interface ProgramResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** How long runProgram waits before it kills, in milliseconds. */
const RUN_LIMIT_MS = 20_000;

/**
 * Holds what still runs, for the case that a test fails before it can see to that, or the tests
 * themselves are ended.
 */
const running = new Set<ChildProcess>();
const killAll = (): void => {
  for (const child of running) child.kill('SIGKILL');
};
await afterTests(killAll);
process.on('exit', killAll);

/** A running program. `await using` kills it at the end of the test. */
export class Program implements AsyncDisposable {
  /** Resolves when the program has ended and its output is complete. */
  readonly ended: Promise<ProgramResult>;
  readonly #child: ChildProcess;
  #stdout = '';
  #stderr = '';

  constructor(command: string, args: readonly string[], options: ProgramOptions = {}) {
    const { stdin, ...rest } = options;
    this.#child = spawn(command, args, { ...rest, stdio: [stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'] });
    running.add(this.#child);
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text;
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
    });
    this.ended = new Promise((resolve, reject) => {
      this.#child.once('error', (error) => {
        running.delete(this.#child);
        reject(error);
      });
      this.#child.once('close', (code, signal) => {
        running.delete(this.#child);
        resolve({ code, signal, stdout: this.#stdout, stderr: this.#stderr });
      });
    });
    // Who does not await the end is not told of a failed start by an unhandled rejection either.
    this.ended.catch(() => {});
    // A program that ends before it has read its input is no failure of the test.
    this.#child.stdin?.on('error', () => {});
    if (stdin !== undefined) this.#child.stdin?.end(stdin);
  }

  /** Returns the process id. */
  get pid(): number {
    if (this.#child.pid === undefined) throw new Error('the program was not started');
    return this.#child.pid;
  }

  /** Returns what it wrote to standard output so far. */
  get stdout(): string {
    return this.#stdout;
  }

  /** Returns what it wrote to standard error so far. */
  get stderr(): string {
    return this.#stderr;
  }

  /** Whether it has not ended yet. */
  get isRunning(): boolean {
    return running.has(this.#child) && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Sends it a signal; does nothing once it has ended. */
  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Resolves with the result, or kills the program after `limitMs` and rejects with its output. */
  async result(limitMs = RUN_LIMIT_MS): Promise<ProgramResult> {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      this.signal('SIGKILL');
    }, limitMs);
    const result = await this.ended.finally(() => clearTimeout(timer));
    if (isLate) {
      throw new Error(`the program did not end within ${limitMs} ms\n${result.stdout}\n${result.stderr}`);
    }
    return result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.signal('SIGKILL');
    await this.ended.catch(() => {});
  }
}

/** Runs a program to its end and returns its output; kills it when it takes longer than 20 s. */
export function runProgram(
  command: string,
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<ProgramResult> {
  return new Program(command, args, options).result();
}
