/**
 * Which Node the client library runs on. The daemon and the command line need a newer one: see cli.ts.
 */

import { AipassError } from '../base/errors.ts';

/** Is the oldest Node that has all that the client uses (process.getBuiltinModule is the newest of it). */
const OLDEST_NODE = [20, 16] as const;

/** @throws AipassError BAD_REQUEST for a Node that the client does not run on. */
export function assertNodeVersion(version = process.versions.node): void {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1])) return;
  throw new AipassError(
    'BAD_REQUEST',
    `the client of aipassd needs Node ${OLDEST_NODE.join('.')} or newer, and this is Node ${version}`,
    { hint: 'run the program with a newer Node' },
  );
}
