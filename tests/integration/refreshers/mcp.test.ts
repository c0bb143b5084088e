/**
 * Accounts of MCP servers, against the example server of the official TypeScript SDK, as it is
 * shipped. And against a server made of its parts that rotates refresh tokens.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { InvalidGrantError } from '@modelcontextprotocol/sdk/server/auth/errors.js';
import { requireBearerAuth } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js';
import type { OAuthServerProvider } from '@modelcontextprotocol/sdk/server/auth/provider.js';
import {
  getOAuthProtectedResourceMetadataUrl,
  mcpAuthMetadataRouter,
  mcpAuthRouter,
} from '@modelcontextprotocol/sdk/server/auth/router.js';
import { createMcpExpressApp } from '@modelcontextprotocol/sdk/server/express.js';
import { describe, expect, it } from 'vitest';
import { Consents, type Consented } from '../../../src/refreshers/consents.ts';
import { AccountFiles, makeAccounts, token } from '../../support/account-files.ts';
import { freePort, portOf } from '../../support/port-of.ts';
import { until } from '../../support/until.ts';

type Made = ReturnType<typeof makeAccounts>;

/** Consents as a user whose browser follows every redirect. */
async function consent({ accounts, worker }: Made, address: string): Promise<Consented & { readonly name: string }> {
  const account = await accounts.describeMcp(new URL(address));
  const result = await new Consents(worker).run(
    account,
    { device: false, port: 0, timeoutMs: 30_000, mcpServer: address },
    (_, prompt) => {
      if (prompt.kind === 'browser') void fetch(prompt.url);
    },
    new AbortController().signal,
  );
  await (await accounts.find(account.name)).reload();
  return { ...result, name: account.name };
}

/** Starts the SDK's example server with authorization; resolves when it listens. */
async function startExample(mcpPort: number, authPort: number): Promise<ChildProcess> {
  const entry = new URL(
    'examples/server/simpleStreamableHttp.js',
    import.meta.resolve('@modelcontextprotocol/sdk/server/index.js').replace(/server\/index\.js$/, ''),
  );
  const child = spawn(process.execPath, [fileURLToPath(entry), '--oauth', '--oauth-strict'], {
    env: { PATH: process.env['PATH'], MCP_PORT: String(mcpPort), MCP_AUTH_PORT: String(authPort) },
    stdio: 'ignore',
  });
  try {
    await until('the example server listens', async () => {
      const answers = await Promise.all(
        [mcpPort, authPort].map((port) => fetch(`http://localhost:${port}/`).catch(() => undefined)),
      );
      return answers.every((answer) => answer !== undefined);
    });
  } catch (error) {
    child.kill();
    throw error;
  }
  return child;
}

describe('the example server of the TypeScript SDK', () => {
  it('is consented to by its address alone, and takes the token', async () => {
    const [mcpPort, authPort] = [await freePort('localhost'), await freePort('localhost')];
    const child = await startExample(mcpPort, authPort);
    try {
      await using files = new AccountFiles();
      const made = makeAccounts(files);
      const address = `http://localhost:${mcpPort}/mcp`;

      const consented = await consent(made, address);
      expect(consented).toMatchObject({ name: 'mcp.localhost', scopes: ['mcp:tools'] });
      expect(await files.read('oauth/mcp.localhost.json')).toMatchObject({
        mcp_server: address,
        resource: address,
        token_endpoint: `http://localhost:${authPort}/token`,
        client_registered: true,
      });

      const { accessToken } = await token(made.accounts, `mcp.localhost:${mcpPort}`);
      const client = new Client({ name: 'test', version: '1' });
      const headers = { authorization: `Bearer ${accessToken}` };
      const transport = new StreamableHTTPClientTransport(new URL(address), { requestInit: { headers } });
      await client.connect(transport);
      expect((await client.listTools()).tools.map(({ name }) => name)).toContain('greet');
      await client.close();
    } finally {
      child.kill();
      await once(child, 'close');
    }
  });
});

/**
 * MCP server that rotates refresh tokens, made of the SDK's parts; authorization is granted at
 * once.
 */
class RotatingServer implements AsyncDisposable {
  readonly #server: Server = createServer();
  address = '';
  readonly resources: (string | undefined)[] = [];
  #current = '';
  #access = '';
  #challenge = '';

  async start(host = 'localhost'): Promise<this> {
    this.#server.listen(0, host);
    await once(this.#server, 'listening');
    const origin = new URL(`http://${host}:${portOf(this.#server)}/`);
    const resource = new URL('/mcp', origin);
    this.address = resource.href;
    const provider = this.#provider();
    const app = createMcpExpressApp();
    app.use(mcpAuthRouter({ provider, issuerUrl: origin, scopesSupported: ['tools'] }));
    const oauthMetadata = {
      issuer: origin.href,
      authorization_endpoint: '',
      token_endpoint: '',
      response_types_supported: [],
    };
    app.use(mcpAuthMetadataRouter({ oauthMetadata, resourceServerUrl: resource, scopesSupported: ['tools'] }));
    const resourceMetadataUrl = getOAuthProtectedResourceMetadataUrl(resource);
    app.post('/mcp', requireBearerAuth({ verifier: provider, resourceMetadataUrl }), (_, response) => {
      response.json({ ok: true });
    });
    this.#server.on('request', app);
    return this;
  }

  #provider(): OAuthServerProvider {
    const clients = new Map<string, Awaited<ReturnType<OAuthServerProvider['clientsStore']['getClient']>>>();
    const grant = (resource: URL | undefined) => {
      this.resources.push(resource?.href);
      this.#current = randomUUID();
      this.#access = randomUUID();
      return Promise.resolve({
        access_token: this.#access,
        token_type: 'bearer',
        expires_in: 3600,
        refresh_token: this.#current,
        scope: 'tools',
      });
    };
    return {
      clientsStore: {
        getClient: (id) => clients.get(id),
        registerClient: (metadata) => {
          const client = { ...metadata, client_id: randomUUID(), client_id_issued_at: 1 };
          clients.set(client.client_id, client);
          return client;
        },
      },
      authorize: (_, { redirectUri, state, codeChallenge }, response) => {
        this.#challenge = codeChallenge;
        const parameters = new URLSearchParams({ code: 'code', state: state ?? '' });
        response.redirect(`${redirectUri}?${parameters.toString()}`);
        return Promise.resolve();
      },
      challengeForAuthorizationCode: () => Promise.resolve(this.#challenge),
      exchangeAuthorizationCode: (_client, _code, _verifier, _redirect, resource) => grant(resource),
      exchangeRefreshToken: (_client, refreshToken, _scopes, resource) =>
        refreshToken === this.#current ? grant(resource) : Promise.reject(new InvalidGrantError('used twice')),
      verifyAccessToken: (accessToken) =>
        accessToken === this.#access
          ? Promise.resolve({ token: accessToken, clientId: 'x', scopes: ['tools'], expiresAt: Date.now() / 1000 + 60 })
          : Promise.reject(new InvalidGrantError('unknown')),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }
}

describe('an MCP server that rotates refresh tokens', () => {
  it('is served fresh, and every request for a token names the resource', async () => {
    await using server = await new RotatingServer().start();
    await using files = new AccountFiles();
    const made = makeAccounts(files);

    expect(await consent(made, server.address)).toMatchObject({ name: 'mcp.localhost', renewable: true });
    for (let round = 0; round < 3; round += 1) {
      made.clock.suspend(3_600_000);
      const { accessToken } = await token(made.accounts, 'mcp.localhost');
      const answer = await fetch(server.address, {
        method: 'POST',
        headers: { authorization: `Bearer ${accessToken}`, 'content-type': 'application/json' },
        body: '{}',
      });
      expect(answer.status).toBe(200);
    }
    expect(server.resources).toEqual(Array<string>(4).fill(server.address));
    expect(await files.read('oauth/mcp.localhost.json')).toMatchObject({ token_endpoint_auth_method: 'none' });
  });

  it('has an account of its own beside another server of the same host', async () => {
    await using first = await new RotatingServer().start();
    await using second = await new RotatingServer().start();
    await using files = new AccountFiles();
    const made = makeAccounts(files);

    await consent(made, first.address);
    const { name } = await consent(made, second.address);
    expect(name).toBe(`mcp.localhost-${new URL(second.address).port}-mcp`);
    await expect(token(made.accounts, name)).resolves.toMatchObject({ scopes: ['tools'] });
    expect((await consent(made, first.address)).name).toBe('mcp.localhost');
  });
});

it('an address that is not an MCP server with authorization is refused with the reason', async () => {
  const server = createServer((_, response) => response.writeHead(200).end('{}')).listen(0, 'localhost');
  await once(server, 'listening');
  await using files = new AccountFiles();

  await expect(consent(makeAccounts(files), `http://localhost:${portOf(server)}/mcp`)).rejects.toMatchObject({
    code: 'PROVIDER_REJECTED',
    message: expect.stringContaining('does not ask for a token'),
  });
  server.close();
});
