/**
 * The network of a company on 127.0.0.1: names that only its proxy knows, behind certificates of
 * its own authority.
 *
 * The key below is for tests alone: it belongs to names that do not exist, and nobody trusts its
 * authority.
 */

import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { connect } from 'node:net';
import { portOf } from './port-of.ts';

/** Certificate of the company's authority. */
export const AUTHORITY = `-----BEGIN CERTIFICATE-----
MIIBmTCCAT+gAwIBAgIUJoEywHcCzUQHvUSuxLx9qMno28EwCgYIKoZIzj0EAwIw
ITEfMB0GA1UEAwwWYWlwYXNzZCB0ZXN0IGF1dGhvcml0eTAgFw0yNjExMjgwMjI2
MzFaGA8yMTI2MTEwNDAyMjYzMVowITEfMB0GA1UEAwwWYWlwYXNzZCB0ZXN0IGF1
dGhvcml0eTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABCN9XSYJAxpitgfa86vt
zFJEcjus1mxaxzYJytnWOersmS9ViUz8vYP3B6DgaPMxRWZSkFIe3ro7lxNF9pR9
HyyjUzBRMB0GA1UdDgQWBBR+yTbw23BNSfyd+l2cNVBDiIa18TAfBgNVHSMEGDAW
gBR+yTbw23BNSfyd+l2cNVBDiIa18TAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49
BAMCA0gAMEUCIBezW5p4h2Bj9WsWqxUI91rOUjDLnp0A0Uz9xvBwAcNpAiEAsR3p
TJQBJ6y8dnvsR62Tup7ivbK+XM1Pw/Av7gf06Bg=
-----END CERTIFICATE-----
`;

const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg0nYDwHnhDBedoKSJ
FkSiP3oHTOL/ywsR2dORZdD/ojmhRANCAATZFe8KuGuZVGLVWaj8D9ojW7XAg/Dj
rNpXbhZYC+gMki4faPDA53gRF/Vy0rB7s0cbq8Gi28WnQ7dbOgKxDcgE
-----END PRIVATE KEY-----
`;

/** Certificate of llm.corp.invalid and login.corp.invalid. */
const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIByTCCAXCgAwIBAgIUHsAap7XdkUvvAim/VfX4wN9o5OQwCgYIKoZIzj0EAwIw
ITEfMB0GA1UEAwwWYWlwYXNzZCB0ZXN0IGF1dGhvcml0eTAgFw0yNjExMjgwMjI2
MzFaGA8yMTI2MTEwNDAyMjYzMVowFDESMBAGA1UEAwwJbG9jYWxob3N0MFkwEwYH
KoZIzj0CAQYIKoZIzj0DAQcDQgAE2RXvCrhrmVRi1Vmo/A/aI1u1wIPw46zaV24W
WAvoDJIuH2jwwOd4ERf1ctKwe7NHG6vBotvFp0O3WzoCsQ3IBKOBkDCBjTBABgNV
HREEOTA3gglsb2NhbGhvc3SHBH8AAAGCEGxsbS5jb3JwLmludmFsaWSCEmxvZ2lu
LmNvcnAuaW52YWxpZDAJBgNVHRMEAjAAMB0GA1UdDgQWBBRDfVkGlhEhbAVY9EM8
zs3sLpUyYzAfBgNVHSMEGDAWgBR+yTbw23BNSfyd+l2cNVBDiIa18TAKBggqhkjO
PQQDAgNHADBEAiAXSop0ZbU1n/pcPr25LxgD8emSFuQHvPnZSqeAcmZeCQIgIdif
kvj4OH/eMIDDb2Qx3UNQ8+5xszJ4YLOt1chot+g=
-----END CERTIFICATE-----
`;

/** A running network. `await using` ends it. */
export class CompanyNetwork implements AsyncDisposable {
  /** URL of the proxy. */
  readonly proxy: string;
  /** Requests that the proxy saw, such as `CONNECT llm.corp.invalid:443`. */
  readonly seen: string[] = [];
  readonly #servers: readonly Server[];

  private constructor(proxy: Server, inside: Server) {
    this.proxy = `http://127.0.0.1:${portOf(proxy)}`;
    this.#servers = [proxy, inside];
    proxy.on('request', (request: IncomingMessage) => this.seen.push(`${request.method} ${request.url}`));
    proxy.on('connect', (request: IncomingMessage) => this.seen.push(`${request.method} ${request.url}`));
  }

  /** Starts it; `answer` answers every request to a name inside, over http and https alike. */
  static async start(answer: RequestListener): Promise<CompanyNetwork> {
    const inside = createTlsServer({ key: KEY, cert: CERTIFICATE }, answer).listen(0, '127.0.0.1');
    await once(inside, 'listening');
    const proxy = createServer(answer).listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    proxy.on('connect', (_request, socket, head) => {
      const way = connect(portOf(inside), '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
        way.write(head);
        way.pipe(socket).pipe(way);
      });
      way.on('error', () => socket.destroy());
      socket.on('error', () => way.destroy());
    });
    return new CompanyNetwork(proxy, inside);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) {
      server.close();
      server.closeAllConnections();
    }
  }
}
