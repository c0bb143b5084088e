/**
 * The socket of a daemon that was killed: its file is there, and nobody listens.
 */

import { runProgram } from './run-program.ts';

/** Leaves a stale socket at a path whose folder exists. */
export async function leaveStaleSocket(path: string): Promise<void> {
  const listen = `
    require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'));
  `;
  const { signal } = await runProgram(process.execPath, ['--eval', listen]);
  if (signal !== 'SIGKILL') throw new Error('the listener was not killed');
}
