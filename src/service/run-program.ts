/**
 * Runs the programs of an installation: systemctl, systemd-run, launchctl.
 */

import { spawn } from 'node:child_process';
import { AipassError, systemErrorCode } from '../base/errors.ts';

/** End of a program. */
export interface ProgramEnd {
  /** Exit code, or null where a signal ended it. */
  readonly code: number | null;
  readonly stderr: string;
  /** Signal that ended it, or `time-limit` where it took too long. */
  readonly endedBy?: NodeJS.Signals | 'time-limit' | undefined;
}

/** Runs a program and resolves with its end. */
export type RunProgram = (argv: readonly string[]) => Promise<ProgramEnd>;

/** Time limit of one program, in milliseconds: longer than a unit may take to start and stop. */
export const PROGRAM_LIMIT_MS = 60_000;

/** Runs a program with a time limit, without its output. Throws NOT_FOUND if it is missing. */
export function runProgram(argv: readonly string[], limitMs = PROGRAM_LIMIT_MS): Promise<ProgramEnd> {
  const [program = '', ...args] = argv;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'], timeout: limitMs });
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
    child.once('close', (code, signal) => {
      // Only the time limit makes Node send a signal here.
      resolve({ code, stderr, endedBy: signal !== null && child.killed ? 'time-limit' : (signal ?? undefined) });
    });
  });
}
