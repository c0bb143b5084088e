/**
 * Which Node the client library runs on. The daemon and the command line need a newer one: see
 * base/node-version.ts.
 */

import { AipassError } from '../base/errors.ts';
import { isNodeAtLeast, type NodeVersion } from '../base/node-version.ts';

/** Oldest Node that has all that the client uses (process.getBuiltinModule is the newest of it). */
const OLDEST_CLIENT_NODE: NodeVersion = [20, 16];

/** @throws AipassError BAD_REQUEST for a Node that the client does not run on. */
export function assertNodeVersion(version = process.versions.node): void {
  if (isNodeAtLeast(version, OLDEST_CLIENT_NODE)) return;
  throw new AipassError(
    'BAD_REQUEST',
    `the client of aipassd needs Node ${OLDEST_CLIENT_NODE.join('.')} or newer, and this is Node ${version}`,
    { hint: 'run the program with a newer Node' },
  );
}
