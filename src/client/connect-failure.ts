/**
 * Why a connection to the daemon could not be made, and what to do.
 */

import { accessSync, constants } from 'node:fs';
import { dirname } from 'node:path';
import { AipassError, systemErrorCode } from '../base/errors.ts';
import { serviceCommands } from '../base/start-command.ts';

/** Returns the error for what the system said of a socket, or undefined where it said nothing that helps. */
export function describeConnectFailure(path: string, error: Error): AipassError | undefined {
  switch (systemErrorCode(error)) {
    case 'ENOENT':
    case 'ECONNREFUSED':
      return new AipassError('DAEMON_UNREACHABLE', `aipassd is not running (no daemon answers on ${path})`, {
        hint: `start it: ${serviceCommands(path).start}`,
        cause: error,
      });
    case 'EAGAIN':
      return new AipassError('DAEMON_UNREACHABLE', `the daemon on ${path} does not take up connections`, {
        hint: 'try again; see its log, and restart it if it hangs',
        cause: error,
      });
    case 'EACCES':
    case 'EPERM':
      return describeForbidden(path, error);
    case 'EINVAL':
    case 'ENAMETOOLONG':
      return new AipassError('BAD_REQUEST', `the socket's path is too long: ${path}`, {
        hint: 'set AIPASSD_RUNTIME_DIR to a folder with a shorter path, for daemon and clients alike',
        cause: error,
      });
    default:
      return undefined;
  }
}

function describeForbidden(path: string, cause: Error): AipassError {
  const folder = closedFolder(dirname(path));
  return folder === undefined
    ? new AipassError('FORBIDDEN', `the socket ${path} belongs to another user`, {
        hint: 'run as the user whose daemon it is, or start your own: aipassd run',
        cause,
      })
    : new AipassError('FORBIDDEN', `this user may not enter the folder ${folder}, in which the socket ${path} is`, {
        hint: `look at whose it is (ls -ld ${folder}); run as that user, or start a daemon of your own: aipassd run`,
        cause,
      });
}

/** Returns the outermost folder on the way that this user may not enter. */
function closedFolder(folder: string): string | undefined {
  const above = dirname(folder) === folder ? undefined : closedFolder(dirname(folder));
  if (above !== undefined) return above;
  try {
    accessSync(folder, constants.X_OK);
    return undefined;
  } catch {
    return folder;
  }
}
