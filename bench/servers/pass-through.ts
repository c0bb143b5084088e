/**
 * The floor of a gateway: node:http in, node:http out, another key, and nothing else. Listens on a
 * socket path, or on a free port of 127.0.0.1 that it prints where the path is empty. Sends
 * everything to another port of 127.0.0.1.
 */

import { Agent, createServer, request as send } from 'node:http';

const [path = '', port = ''] = process.argv.slice(2);
const agent = new Agent({ keepAlive: true });
const server = createServer((incoming, outgoing) => {
  const headers = { ...incoming.headers, authorization: 'Bearer key', host: `127.0.0.1:${port}` };
  const { method, url } = incoming;
  const upstream = send({ agent, host: '127.0.0.1', port: Number(port), method, path: url, headers }, (answer) => {
    outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(outgoing);
  });
  upstream.on('error', () => outgoing.destroy());
  incoming.pipe(upstream);
});
server.listen(path === '' ? { host: '127.0.0.1', port: 0 } : { path }, () => {
  const address = server.address();
  console.log(`ready ${typeof address === 'object' ? (address?.port ?? '') : ''}`);
});
process.once('SIGTERM', () => process.exit(0));
