import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fetchAsAccount, type TokenSource } from '../../../src/client/account-fetch.ts';
import { portOf } from '../../support/port-of.ts';

let server: Server;
let address: string;
/** Method, authorization and body of each request. */
let seen: string[];
/** Reports of refused tokens. */
let refused: string[];
/** Tokens that the daemon would give, in this order; the last one again and again. */
let tokens: string[];

const source: TokenSource = {
  token(_, options) {
    if (options.refused !== undefined) {
      refused.push(options.refused);
      if (tokens.length > 1) tokens.shift();
    }
    const accessToken = tokens[0] ?? '';
    return Promise.resolve({ accessToken, expiresAt: null, tokenType: 'Bearer', scopes: [] });
  },
};

beforeEach(async () => {
  [seen, refused, tokens] = [[], [], ['old', 'new']];
  server = createServer((request, response) => {
    void text(request).then((body) => {
      const { authorization = '' } = request.headers;
      if (request.url === '/away') {
        response.writeHead(302, { location: `http://localhost:${portOf(server)}/closed` }).end();
        return;
      }
      seen.push(`${request.method ?? ''} ${authorization} ${body}`);
      const isRefused = authorization === 'Bearer old' || request.url === '/closed';
      response.writeHead(isRefused ? 401 : 200).end(authorization);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  address = `http://127.0.0.1:${portOf(server)}/`;
});

afterEach(async () => {
  server.close();
  server.closeAllConnections();
  await once(server, 'close');
});

describe('a request with the token of an account', () => {
  it.each<[string, () => [string | Request, RequestInit]]>([
    ['as text', () => [address, { method: 'POST', body: 'x' }]],
    ['as bytes', () => [address, { method: 'POST', body: Buffer.from('x') }]],
    ['in a Request', () => [new Request(address, { method: 'POST', body: 'x' }), {}]],
    ['in place of that of a Request', () => [new Request(address, { method: 'POST', body: 'y' }), { body: 'x' }]],
  ])('is repeated once when it is refused, with its body %s', async (_, make) => {
    const [input, init] = make();
    const answer = await fetchAsAccount(source, input, { ...init, account: 'test' });

    expect([answer.status, await answer.text()]).toEqual([200, 'Bearer new']);
    expect(seen).toEqual(['POST Bearer old x', 'POST Bearer new x']);
    expect(refused).toEqual(['old']);
  });

  it('is not repeated where its body was a stream, but its token is reported', async () => {
    const body = Readable.toWeb(Readable.from(['x'])) as ReadableStream;
    const init = { method: 'POST', body, duplex: 'half' as const };
    const first = await fetchAsAccount(source, address, { ...init, account: 'test' });
    const second = await fetchAsAccount(source, address, { account: 'test' });

    expect([first.status, second.status]).toEqual([401, 200]);
    expect(refused).toEqual(['old']);
  });

  it('is answered with the refusal where the daemon has no other token', async () => {
    tokens = ['old'];
    const answer = await fetchAsAccount(source, address, { account: 'test' });

    expect([answer.status, await answer.text()]).toEqual([401, 'Bearer old']);
    expect(seen).toHaveLength(1);
  });

  it('reports nothing where another site refused it, which got no token', async () => {
    const answer = await fetchAsAccount(source, `${address}away`, { account: 'test' });

    expect(answer.status).toBe(401);
    expect(seen).toEqual(['GET  ']);
    expect(refused).toEqual([]);
  });

  it('goes to no address without encryption', async () => {
    const sending = fetchAsAccount(source, 'http://api.example.org/', { account: 'test' });
    await expect(sending).rejects.toMatchObject({ code: 'BAD_REQUEST' });
  });

  it('keeps its own headers beside the token', async () => {
    const given = new Request(address, { headers: { 'x-own': '1', authorization: 'Bearer mine' } });
    tokens = ['new'];
    await fetchAsAccount(source, given, { account: 'test' });
    expect(seen).toEqual(['GET Bearer new ']);
  });
});
