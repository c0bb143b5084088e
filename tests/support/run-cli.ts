/**
 * The built command line as a process.
 */

import { fileURLToPath } from 'node:url';
import type { TempHome } from './temp-home.ts';
import { runProgram, type ProgramResult } from './run-program.ts';

/** The built entry of the command line; `npm run build` makes it. */
export const CLI_PATH = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

/** What differs from the usual in one call. */
export interface CliOptions {
  /** The standard input. */
  readonly stdin?: string;
  /** Added to the environment of the home. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs `aipassd <args>` in a home and returns its output and exit code. */
export function runCli(home: TempHome, args: readonly string[], options: CliOptions = {}): Promise<ProgramResult> {
  return runProgram(process.execPath, [CLI_PATH, ...args], {
    env: { ...home.env, ...options.env },
    cwd: home.path,
    stdin: options.stdin,
  });
}
