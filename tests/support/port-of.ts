/**
 * The port of a listening server.
 */

import type { Server } from 'node:net';

/** Returns the port that a TCP server listens on. @throws Error when it listens on none. */
export function portOf(server: Server): number {
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('the server does not listen on a port');
  return address.port;
}
