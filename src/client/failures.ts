/**
 * The errors of the client itself (no connection, a lost connection, a cancelled call), and those
 * that it reads from the wire.
 */

import { accessSync, constants } from 'node:fs';
import { dirname } from 'node:path';
import { AipassError, systemErrorCode } from '../base/errors.ts';
import { readNumber, readString } from '../base/json.ts';
import { serviceCommands } from '../base/start-command.ts';
import { OPERATIONS_WITH_EFFECTS, type OperationName } from '../protocol/operations.ts';

/**
 * Returns the failure of a request whose connection was lost: DAEMON_UNREACHABLE where repeating is
 * safe, CANCELLED where it may do something twice.
 */
export function lostAnswer(op: OperationName): AipassError {
  return OPERATIONS_WITH_EFFECTS.has(op)
    ? new AipassError('CANCELLED', `the connection was lost while ${op} was under way`, {
        hint: 'it may have had effects: repeat it only if doing it twice does no harm',
      })
    : new AipassError('DAEMON_UNREACHABLE', `the connection was lost before ${op} was answered`, {
        hint: 'repeat it; if the daemon is down, start it: aipassd run',
      });
}

/**
 * Returns the failure of a request whose signal aborted: TIMED_OUT for AbortSignal.timeout(),
 * CANCELLED for all others.
 */
export function cancelled(signal: AbortSignal): AipassError {
  const reason: unknown = signal.reason;
  const isTimeout = reason instanceof Error && reason.name === 'TimeoutError';
  return isTimeout
    ? new AipassError('TIMED_OUT', 'the signal of the call timed out', { cause: reason })
    : new AipassError('CANCELLED', 'the call was cancelled', { cause: reason });
}

/** Reads an error from the wire, trusting nothing but its field types. */
export function readError(value: unknown): AipassError {
  return AipassError.fromWire({
    code: readString(value, 'code') ?? 'INTERNAL',
    message: readString(value, 'message') ?? 'the daemon gave no reason',
    hint: readString(value, 'hint'),
    retryAfterMs: readNumber(value, 'retryAfterMs'),
  });
}

/**
 * Returns the error for a system error of connecting to a socket, or undefined for an unknown one.
 */
export function describeConnectFailure(path: string, error: Error): AipassError | undefined {
  switch (systemErrorCode(error)) {
    case 'ENOENT':
    case 'ECONNREFUSED':
      return new AipassError('DAEMON_UNREACHABLE', `aipassd is not running (no daemon answers on ${path})`, {
        hint: `start it: ${serviceCommands(path).start}`,
        cause: error,
      });
    case 'EAGAIN':
      return new AipassError('DAEMON_UNREACHABLE', `the daemon on ${path} does not accept connections`, {
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
        hint: `see its owner (ls -ld ${folder}); run as that user, or start a daemon of your own: aipassd run`,
        cause,
      });
}

/** Returns the outermost folder above a path that this user may not enter. */
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
