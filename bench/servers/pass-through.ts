/**
 * The floor of a gateway: node:http in, node:http out, another key, and nothing else. Listens on a
 * socket path and sends everything to a port of 127.0.0.1.
 */

import { Agent, createServer, request as send } from 'node:http';

const [path = '', , port = ''] = process.argv.slice(2);
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
server.listen(path, () => console.log('ready'));
process.once('SIGTERM', () => process.exit(0));
