/**
 * A connection that speaks the protocol by hand, rightly or wrongly. Imports nothing of aipassd, so
 * that the kit can be pointed at any daemon that speaks the same envelope: `{"type": …, "data": …}`
 * and a form feed.
 */

import { createConnection, type Socket } from 'node:net';

/** Ends a frame. */
export const FRAME_END = '\f';

/** Prints one frame. */
export function frame(type: unknown, data: unknown): string {
  return JSON.stringify({ type, data }) + FRAME_END;
}

/** Prints the frame that opens a conversation. */
export const HELLO = frame('hello', { protocol: 1, client: 'hostile/1', caller: 'hostile' });

/** How long a client waits that found the queue of those who want in full, in milliseconds. */
const RETRY_MS = 10;

/** Connects; resolves when the daemon accepted, or at once with a closed socket when it did not. */
export function connectTo(path: string): Promise<Socket> {
  return new Promise((resolve) => {
    const socket = createConnection(path);
    // A hostile client does not care how it is thrown out, but it wants to get in: a full queue is
    // asked again.
    socket.on('error', (error) => {
      if ('code' in error && error.code === 'EAGAIN') setTimeout(() => resolve(connectTo(path)), RETRY_MS);
      else resolve(socket);
    });
    socket.once('connect', () => resolve(socket));
  });
}

/** Resolves when the other side closed the connection, or after a time; says which. */
export function closedWithin(socket: Socket, ms: number): Promise<boolean> {
  if (socket.destroyed || socket.readableEnded) return Promise.resolve(true);
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), ms);
    const done = (): void => {
      clearTimeout(timer);
      resolve(true);
    };
    socket.once('close', done);
    socket.once('end', done);
  });
}

/** Writes and resolves when the system took it, or the connection is gone. */
export function write(socket: Socket, text: string | Buffer): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed || !socket.writable) return resolve();
    const done = (): void => {
      socket.off('close', done);
      resolve();
    };
    socket.once('close', done);
    socket.write(text, done);
  });
}

/** Waits. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
