/**
 * Asks a socket whether a daemon lives behind it.
 */

import { createConnection } from 'node:net';
import { lstat } from 'node:fs/promises';
import { systemErrorCode } from '../base/errors.ts';
import { parseEnvelope, printFrame, readFrames, type PartialFrame } from '../protocol/frames.ts';
import { PROTOCOL_VERSION } from '../protocol/limits.ts';

/** Is what was found at a socket's path. */
export type SocketProbe =
  | { readonly kind: 'absent' }
  | { readonly kind: 'stale' }
  /** Somebody accepts; the pid is known where it said welcome. */
  | { readonly kind: 'alive'; readonly pid?: number }
  | { readonly kind: 'not-a-socket' };

/** Is how long a living daemon may take to say welcome; one that is slower is alive all the same. */
const WELCOME_LIMIT_MS = 2000;

/** Bounds the answer of whoever it is. */
const MAX_ANSWER_BYTES = 64 * 1024;

/** Looks at the path and, if it is a socket, says hello. */
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
