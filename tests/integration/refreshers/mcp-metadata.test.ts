/**
 * MCP servers whose metadata is not where, or not as, the example servers have it.
 */

import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { Consents, type Consented } from '../../../src/refreshers/consents.ts';
import { AccountFiles, makeAccounts, type Document } from '../../support/account-files.ts';
import { portOf } from '../../support/port-of.ts';

type Answer = Document | ((request: IncomingMessage, response: ServerResponse) => void);

/**
 * Server of given documents by path, with an authorization server that grants everything at once.
 */
class MetadataServer implements AsyncDisposable {
  readonly #server: Server = createServer();
  origin = '';
  /** Scopes that were asked for at the consent page. */
  scope: string | null = null;
  /** Requests for tokens. */
  readonly tokenRequests: URLSearchParams[] = [];

  async start(routes: (origin: string) => Readonly<Record<string, Answer>>): Promise<this> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    this.origin = `http://127.0.0.1:${portOf(this.#server)}`;
    const table: Readonly<Record<string, Answer>> = {
      '/mcp': challenge(''),
      '/authorize': (request, response) => this.#authorize(new URL(request.url ?? '', this.origin), response),
      '/register': { client_id: 'registered' },
      '/token': (request, response) => {
        void text(request).then((body) => {
          this.tokenRequests.push(new URLSearchParams(body));
          response.end(JSON.stringify({ access_token: 'a', token_type: 'Bearer', expires_in: 60, refresh_token: 'r' }));
        });
      },
      ...routes(this.origin),
    };
    this.#server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      const answer = table[request.url?.split('?')[0] ?? ''];
      if (typeof answer === 'function') answer(request, response);
      else response.writeHead(answer === undefined ? 404 : 200).end(JSON.stringify(answer ?? { error: 'not_found' }));
    });
    return this;
  }

  #authorize(url: URL, response: ServerResponse): void {
    this.scope = url.searchParams.get('scope');
    const back = new URL(url.searchParams.get('redirect_uri') ?? '');
    back.search = new URLSearchParams({ code: 'c', state: url.searchParams.get('state') ?? '' }).toString();
    response.writeHead(302, { location: back.href }).end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }
}

/** Refuses a request without a token. */
function challenge(parameters: string): Answer {
  return (_, response) => response.writeHead(401, { 'www-authenticate': `Bearer ${parameters}` }).end();
}

/** Metadata of an authorization server. */
function authority(issuer: string, origin: string, more: Document = {}): Document {
  return {
    issuer,
    authorization_endpoint: `${origin}/authorize`,
    token_endpoint: `${origin}/token`,
    registration_endpoint: `${origin}/register`,
    response_types_supported: ['code'],
    ...more,
  };
}

async function consent(files: AccountFiles, server: MetadataServer, path = '/mcp'): Promise<Consented> {
  const { accounts, worker } = makeAccounts(files);
  const address = `${server.origin}${path}`;
  return await new Consents(worker).run(
    await accounts.describeMcp(new URL(address)),
    { device: false, port: 0, timeoutMs: 30_000, mcpServer: address },
    (_, prompt) => {
      if (prompt.kind === 'browser') void fetch(prompt.url);
    },
    new AbortController().signal,
  );
}

const RESOURCE = '/.well-known/oauth-protected-resource';
const OAUTH = '/.well-known/oauth-authorization-server';
const OPENID = '/.well-known/openid-configuration';

describe('the metadata of an MCP server', () => {
  it.each<[string, (origin: string) => Readonly<Record<string, Answer>>]>([
    [
      'with the path inside the well-known address',
      (origin) => ({
        [`${RESOURCE}/mcp`]: { resource: `${origin}/mcp`, authorization_servers: [`${origin}/tenant`] },
        [`${OAUTH}/tenant`]: authority(`${origin}/tenant`, origin),
      }),
    ],
    [
      'at the root, for the whole site',
      (origin) => ({
        [RESOURCE]: { resource: origin, authorization_servers: [`${origin}/`] },
        [OAUTH]: authority(origin, origin),
      }),
    ],
    [
      'of OpenID Connect, behind the path of the issuer',
      (origin) => ({
        [RESOURCE]: { resource: `${origin}/mcp`, authorization_servers: [`${origin}/tenant`] },
        [`/tenant${OPENID}`]: authority(`${origin}/tenant`, origin),
      }),
    ],
    [
      'of OpenID Connect, with the path inside the well-known address',
      (origin) => ({
        [RESOURCE]: { resource: `${origin}/mcp`, authorization_servers: [`${origin}/tenant`] },
        [`${OPENID}/tenant`]: authority(`${origin}/tenant`, origin),
      }),
    ],
    [
      'at an address of its own, after another challenge, relative to the server',
      (origin) => ({
        '/mcp': (_, response) =>
          response.writeHead(401, { 'www-authenticate': 'Basic realm="x, y", Bearer resource_metadata="/own"' }).end(),
        '/own': { resource: `${origin}/mcp`, authorization_servers: ['ftp://x', origin] },
        [OAUTH]: authority(origin, origin),
      }),
    ],
    [
      'of an authorization server that points to another',
      (origin) => ({
        [RESOURCE]: { resource: `${origin}/mcp`, authorization_servers: [origin] },
        [OAUTH]: authority(`${origin}/real`, origin),
        [`${OAUTH}/real`]: authority(`${origin}/real`, origin),
      }),
    ],
    ['of the authorization server alone', (origin) => ({ [OAUTH]: authority(origin, origin) })],
    ['that does not exist, where the endpoints are those of the first protocol version', () => ({})],
    [
      'of a server that answers without a token, with a stream that does not end',
      (origin) => ({
        '/mcp': (_, response) =>
          void response.writeHead(200, { 'content-type': 'text/event-stream' }).write(': hi\n\n'),
        [RESOURCE]: { resource: `${origin}/mcp`, authorization_servers: [origin] },
        [OAUTH]: authority(origin, origin),
      }),
    ],
  ])('is found %s', async (_, routes) => {
    await using server = await new MetadataServer().start(routes);
    await using files = new AccountFiles();

    expect(await consent(files, server)).toMatchObject({ renewable: true });
    expect(server.tokenRequests[0]?.get('resource')).toContain(server.origin);
    expect(await files.read('oauth/mcp.127.0.0.1.json')).toMatchObject({
      access_token: 'a',
      client_id: 'registered',
      token_endpoint: `${server.origin}/token`,
    });
  });

  it.each<[string, Document, string]>([
    ['those of the challenge', { scopes_supported: ['all'] }, 'read write'],
    ['with offline access, where the authorization server has it', {}, 'read write offline_access'],
  ])('gives the scopes to ask for: %s', async (_, more, expected) => {
    const offline = expected.includes('offline_access') ? { scopes_supported: ['offline_access', 'openid'] } : {};
    await using server = await new MetadataServer().start((origin) => ({
      '/mcp': challenge('error="invalid_token", scope="read write"'),
      [RESOURCE]: { resource: `${origin}/mcp`, authorization_servers: [origin], ...more },
      [OAUTH]: authority(origin, origin, offline),
    }));
    await using files = new AccountFiles();

    await consent(files, server);
    expect(server.scope).toBe(expected);
  });
});

/** Metadata of the resource, whose authorization server is itself. */
function protect(origin: string): Document {
  return { resource: `${origin}/mcp`, authorization_servers: [origin] };
}

describe('an MCP server that cannot be consented to', () => {
  it.each<[string, (origin: string) => Readonly<Record<string, Answer>>, string, string]>([
    [
      'because it registers no clients',
      (origin) => ({
        [RESOURCE]: protect(origin),
        [OAUTH]: authority(origin, origin, { registration_endpoint: undefined }),
      }),
      'does not register clients',
      '"client_id"',
    ],
    [
      'because it refuses to register one',
      (origin) => ({
        [RESOURCE]: protect(origin),
        [OAUTH]: authority(origin, origin),
        '/register': (_, response) =>
          response.writeHead(403).end('{"error":"access_denied","error_description":"approved clients only"}'),
      }),
      'approved clients only',
      'client_id',
    ],
    [
      'because its authorization server has two names',
      (origin) => ({ [RESOURCE]: protect(origin), [OAUTH]: authority('https://127.0.0.1:1/other', origin) }),
      'names https://127.0.0.1:1/other',
      'operator',
    ],
    [
      'because its metadata is that of another server',
      (origin) => ({ [RESOURCE]: { ...protect(origin), resource: 'https://other.example/mcp' } }),
      'describes another resource (https://other.example/mcp)',
      'aipassd reauth https://other.example/mcp',
    ],
    [
      'because it has no PKCE',
      (origin) => ({
        [RESOURCE]: protect(origin),
        [OAUTH]: authority(origin, origin, { code_challenge_methods_supported: ['plain'] }),
      }),
      'does not support PKCE',
      'operator',
    ],
  ])('%s is refused with the reason and an action', async (_, routes, reason, action) => {
    await using server = await new MetadataServer().start(routes);
    await using files = new AccountFiles();

    await expect(consent(files, server)).rejects.toMatchObject({
      message: expect.stringContaining(reason),
      hint: expect.stringContaining(action),
    });
    expect(server.tokenRequests).toEqual([]);
  });
});
