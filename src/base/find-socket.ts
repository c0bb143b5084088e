/**
 * Where a client finds this user's daemon when its own environment names another place, or none.
 * Cron, `sudo -u`, `su`, ssh without a session and `docker exec` have no XDG_RUNTIME_DIR. Runs on
 * Node 20.16 for the client.
 *
 * A socket is trusted only if it and its folder belong to this user or to root, and nobody else can
 * write to the folder.
 */

import { lstatSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { currentUser, entryFault } from './file-trust.ts';
import { parseJson, readString } from './json.ts';
import type { Paths } from './paths.ts';

/**
 * Returns the socket of this user's daemon. That is the one from the environment, else that of the
 * user's session, else the one that the last run recorded. Where none of them is there, the first.
 */
export function findSocket(
  paths: Pick<Paths, 'socket' | 'lastRun'>,
  env: Readonly<Record<string, string | undefined>> = process.env,
): string {
  // Named on purpose: nothing else is meant.
  if (env['AIPASSD_RUNTIME_DIR']) return paths.socket;
  const user = currentUser();
  const session = user === undefined ? undefined : join('/run/user', String(user), 'aipassd', 'aipassd.sock');
  const candidates = [paths.socket, session, recordedSocket(paths.lastRun)];
  return candidates.find((path) => path !== undefined && isOurs(path, user)) ?? paths.socket;
}

/** Returns the socket that a record of a run names. */
function recordedSocket(record: string): string | undefined {
  try {
    return readString(parseJson(readFileSync(record, 'utf8')), 'socket');
  } catch {
    return undefined;
  }
}

/** Returns whether a socket of this user, or of root, is at a path. */
function isOurs(path: string, user: number | undefined): boolean {
  try {
    const socket = lstatSync(path);
    const folder = lstatSync(dirname(path));
    const isOwned = user === undefined || socket.uid === user || socket.uid === 0;
    return socket.isSocket() && isOwned && folder.isDirectory() && entryFault(dirname(path), folder, user) === null;
  } catch {
    return false;
  }
}
