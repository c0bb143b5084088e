/**
 * The built command line as a process.
 */

import { fileURLToPath } from 'node:url';
import type { TempHome } from './temp-home.ts';
import { runProgram, type ProgramResult } from './run-program.ts';

/** Is the built entry of the command line; `npm run build` makes it. */
export const CLI_PATH = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

/** Says how one call differs from the usual. */
export interface CliOptions {
  /** Is the standard input. */
  readonly stdin?: string;
  /** Is added to the environment of the home. */
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
