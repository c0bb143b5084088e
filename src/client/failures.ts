/**
 * The errors of the client itself: no connection, a lost connection, a cancelled call, an old Node,
 * and what programs without types pass. And those that it reads from the wire.
 */

import { accessSync, constants } from 'node:fs';
import { dirname } from 'node:path';
import { AipassError, systemErrorCode } from '../base/errors.ts';
import { readNumber, readString } from '../base/json.ts';
import { tooLongForSocket } from '../base/paths.ts';
import { serviceCommands } from '../base/start-command.ts';
import { OPERATIONS_WITH_EFFECTS, type OperationName } from '../protocol/operations.ts';
import { hasMethods } from './answer-fields.ts';
import { isNodeAtLeast, type NodeVersion } from '../base/node-version.ts';

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

/** Returns TIMED_OUT for a signal of AbortSignal.timeout(), CANCELLED for all others. */
export function cancelled(signal: AbortSignal): AipassError {
  const reason: unknown = signal.reason;
  const isTimeout = reason instanceof Error && reason.name === 'TimeoutError';
  return isTimeout
    ? new AipassError('TIMED_OUT', 'the signal of the call timed out', { cause: reason })
    : new AipassError('CANCELLED', 'the call was cancelled', { cause: reason });
}

/** Reads an error from the wire, trusting nothing but its field types. */
export function readWireError(value: unknown): AipassError {
  return AipassError.fromWire({
    code: readString(value, 'code') ?? 'INTERNAL',
    message: readString(value, 'message') ?? 'the daemon gave no reason',
    hint: readString(value, 'hint'),
    retryAfterMs: readNumber(value, 'retryAfterMs'),
  });
}

/** Returns the error for a system error of connecting to a socket, if it is known. */
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
      return tooLongForSocket(path, error);
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

/**
 * Oldest Node that has all that the client uses (process.getBuiltinModule is the newest of it). The
 * daemon and the command line need a newer one: see base/node-version.ts.
 */
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

/** Throws BAD_REQUEST for options of a call that cannot be kept. */
export function assertCallOptions(options: unknown): void {
  const { signal, timeoutMs } = fieldsOf(options, 'the options of a call');
  if (signal !== undefined && signal !== null && !isSignal(signal)) {
    throw wrong('"signal" is not an AbortSignal', 'pass controller.signal, or AbortSignal.timeout(ms)');
  }
  if (timeoutMs !== undefined && !(typeof timeoutMs === 'number' && timeoutMs >= 0)) {
    throw wrong('"timeoutMs" is not a number of milliseconds', 'pass a number, 0 or more');
  }
}

/** Throws BAD_REQUEST for options that no connection can be made with. */
export function assertConnectOptions(options: unknown): void {
  const fields = fieldsOf(options, 'the options of connect');
  for (const name of ['caller', 'socket']) {
    const value = fields[name];
    if (value === undefined || (typeof value === 'string' && (value !== '' || name === 'caller'))) continue;
    throw wrong(
      `"${name}" is not a string`,
      name === 'caller' ? "pass a name: { caller: 'my-script' }" : 'pass a path',
    );
  }
}

/** Returns the fields of an object. @throws AipassError BAD_REQUEST for anything else. */
export function fieldsOf(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null) return value as Readonly<Record<string, unknown>>;
  throw wrong(`${what} must be an object`, 'pass { … }');
}

/** Returns whether a value is an AbortSignal, of another realm or package too. */
function isSignal(value: unknown): boolean {
  return hasMethods(value, 'addEventListener') && typeof Reflect.get(value, 'aborted') === 'boolean';
}

function wrong(message: string, hint: string): AipassError {
  return new AipassError('BAD_REQUEST', message, { hint });
}
