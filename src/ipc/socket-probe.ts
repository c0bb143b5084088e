/**
 * Finds out whether a daemon answers on a socket.
 */

import { createConnection } from 'node:net';
import { lstat } from 'node:fs/promises';
import { systemErrorCode } from '../base/errors.ts';
import { parseEnvelope, printFrame, readFrames, type PartialFrame } from '../protocol/frames.ts';
import { PROTOCOL_VERSION } from '../protocol/limits.ts';

/** Result of a probe. */
export type SocketProbe =
  | { readonly kind: 'absent' }
  | { readonly kind: 'stale' }
  /** A process accepts connections; the pid is known if it sent a welcome. */
  | { readonly kind: 'alive'; readonly pid?: number }
  | { readonly kind: 'not-a-socket' };

/** Time to wait for the welcome, in milliseconds; a slower daemon counts as alive. */
const WELCOME_LIMIT_MS = 2000;

/** Maximum length of the answer, which may come from any program. */
const MAX_ANSWER_BYTES = 64 * 1024;

/** Checks the path and, if it is a socket, sends a hello. */
export async function probeSocket(path: string): Promise<SocketProbe> {
  try {
    if (!(await lstat(path)).isSocket()) return { kind: 'not-a-socket' };
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return { kind: 'absent' };
    throw error;
  }
  return new Promise((resolve) => {
    const socket = createConnection({ path });
    let partial: PartialFrame | undefined;
    const finish = (probe: SocketProbe): void => {
      socket.destroy();
      resolve(probe);
    };
    socket.setEncoding('utf8');
    socket.setTimeout(WELCOME_LIMIT_MS, () => finish({ kind: 'alive' }));
    socket.on('connect', () => {
      socket.write(printFrame('hello', { protocol: PROTOCOL_VERSION, client: 'aipassd-probe' }));
    });
    socket.on('data', (chunk: string) => {
      try {
        partial = readFrames(partial, chunk, MAX_ANSWER_BYTES, (frame) => finish(readWelcome(frame)));
      } catch {
        finish({ kind: 'alive' });
      }
    });
    socket.on('error', (error) => {
      const code = systemErrorCode(error);
      finish(code === 'ECONNREFUSED' || code === 'ENOENT' ? { kind: 'stale' } : { kind: 'alive' });
    });
    socket.on('close', () => finish({ kind: 'alive' }));
  });
}

function readWelcome(frame: string): SocketProbe {
  const { data } = parseEnvelope(frame);
  return typeof data === 'object' && data !== null && 'pid' in data && typeof data.pid === 'number'
    ? { kind: 'alive', pid: data.pid }
    : { kind: 'alive' };
}
