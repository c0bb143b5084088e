/**
 * The port of a listening server, and one on which nobody listens.
 */

import { once } from 'node:events';
import { createServer, type Server } from 'node:net';

/** Returns the port that a TCP server listens on. @throws Error when it listens on none. */
export function portOf(server: Server): number {
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('the server does not listen on a port');
  return address.port;
}

/** Returns a port of a host name of this machine on which nobody listens. */
export async function freePort(host = '127.0.0.1'): Promise<number> {
  const server = createServer().listen(0, host);
  await once(server, 'listening');
  const port = portOf(server);
  server.close();
  await once(server, 'close');
  return port;
}
