/**
 * Checks Node's version, and what programs without types pass, before anything is begun with a
 * wrong one.
 */

import { AipassError } from '../base/errors.ts';
import { isNodeAtLeast, type NodeVersion } from '../base/node-version.ts';

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
  return (
    typeof value === 'object' &&
    value !== null &&
    'aborted' in value &&
    typeof value.aborted === 'boolean' &&
    'addEventListener' in value &&
    typeof value.addEventListener === 'function'
  );
}

function wrong(message: string, hint: string): AipassError {
  return new AipassError('BAD_REQUEST', message, { hint });
}
