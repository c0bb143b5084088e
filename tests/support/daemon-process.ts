/**
 * The built daemon as a process.
 */

import { CLI_PATH } from './run-cli.ts';
import { Program, type ProgramResult } from './run-program.ts';
import type { TempHome } from './temp-home.ts';
import { until } from './until.ts';

/**
 * How long the daemon may take to be ready or to stop, in milliseconds: far more than it needs on a
 * busy machine.
 */
const LIMIT_MS = 20_000;

/**
 * A running daemon. `await using` kills it at the end of the test, whether or not it was stopped.
 */
export class DaemonProcess implements AsyncDisposable {
  readonly home: TempHome;
  readonly #program: Program;

  private constructor(home: TempHome, program: Program) {
    this.home = home;
    this.#program = program;
  }

  /**
   * Starts `aipassd run` in a home and resolves when it is ready; rejects with its output when it
   * ends before that.
   */
  static async start(home: TempHome, env: Readonly<Record<string, string>> = {}): Promise<DaemonProcess> {
    const program = new Program(process.execPath, [CLI_PATH, 'run'], { env: { ...home.env, ...env }, cwd: home.path });
    try {
      await until('the daemon is ready', () => program.stdout.includes('is ready') || !program.isRunning, LIMIT_MS);
      if (!program.stdout.includes('is ready')) {
        const { code, stderr } = await program.ended;
        throw new Error(`the daemon ended with ${code} before it was ready:\n${stderr}`);
      }
    } catch (error) {
      await program[Symbol.asyncDispose]();
      throw error;
    }
    return new DaemonProcess(home, program);
  }

  /** Returns its process id. */
  get pid(): number {
    return this.#program.pid;
  }

  /** Returns what it printed on standard output so far. */
  get stdout(): string {
    return this.#program.stdout;
  }

  /** Returns what it printed on standard error so far. */
  get stderr(): string {
    return this.#program.stderr;
  }

  /** Whether it has not ended yet. */
  get isRunning(): boolean {
    return this.#program.isRunning;
  }

  /** Sends it a signal and waits for nothing. */
  signal(signal: NodeJS.Signals): void {
    this.#program.signal(signal);
  }

  /** Resolves when it has ended by itself or by a signal sent before. */
  ended(): Promise<ProgramResult> {
    return this.#program.result(LIMIT_MS);
  }

  /** Asks it to stop and waits until it has; throws when it ends with anything but `code`. */
  async stop(signal: NodeJS.Signals = 'SIGTERM', code = 0): Promise<ProgramResult> {
    this.signal(signal);
    const result = await this.ended();
    if (result.code !== code) {
      throw new Error(`the daemon ended with ${result.code ?? result.signal}, not ${code}:\n${result.stderr}`);
    }
    return result;
  }

  /** Kills it, as a crash would end it, and waits until it is gone. */
  async kill(): Promise<void> {
    await this.#program[Symbol.asyncDispose]();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }
}
