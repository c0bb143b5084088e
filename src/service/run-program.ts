/**
 * Runs the programs of an installation: systemctl, systemd-run, launchctl.
 */

import { spawn } from 'node:child_process';
import { AipassError, systemErrorCode } from '../base/errors.ts';

/** Runs a program and resolves with its exit code and error output. */
export type RunProgram = (
  argv: readonly string[],
) => Promise<{ readonly code: number | null; readonly stderr: string }>;

/** Time limit of one program, in milliseconds: longer than a unit may take to start and stop. */
const PROGRAM_LIMIT_MS = 60_000;

/** Runs a program with a time limit, without its output. Throws NOT_FOUND if it is missing. */
export function runProgram(argv: readonly string[]): Promise<{ code: number | null; stderr: string }> {
  const [program = '', ...args] = argv;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'], timeout: PROGRAM_LIMIT_MS });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      if (stderr.length < 4096) stderr += text;
    });
    child.once('error', (error) => {
      reject(
        new AipassError('NOT_FOUND', `cannot run ${program}: ${systemErrorCode(error) ?? 'unknown reason'}`, {
          hint: `aipassd install needs ${program}; without it, run "aipassd run" from your own process supervisor`,
          cause: error,
        }),
      );
    });
    child.once('close', (code) => resolve({ code, stderr }));
  });
}
