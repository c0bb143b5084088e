/**
 * The floor: what comes in goes out.
 */

import { createServer } from 'node:net';

createServer((socket) => {
  socket.on('error', () => {});
  socket.pipe(socket);
}).listen(process.argv[2], () => console.log('ready'));
process.once('SIGTERM', () => process.exit(0));
