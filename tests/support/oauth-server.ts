/**
 * A real OAuth server on 127.0.0.1: oidc-provider with rotation, reuse detection, PKCE, device
 * flow, client credentials and revocation. Its one user consents to everything at once. Owns the
 * oidc-provider package.
 *
 * In front of it stands a gate, which counts what the token endpoint is asked. It can hold an
 * answer back after the server has made it. That is the moment when a rotated token exists in one
 * place only.
 */

import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { Provider } from 'oidc-provider';
import { portOf } from './port-of.ts';

/** The client that every test uses. */
export const CLIENT = { id: 'app', secret: 'app-secret-0123456789abcdef' } as const;

/** What may be done to an answer of the token endpoint before it is sent. */
export type AnswerGate = () => Promise<void> | void;

/** A running OAuth server. */
export class OauthServer implements AsyncDisposable {
  readonly issuer: string;
  readonly #provider: Provider;
  readonly #server: Server;
  /** Counts requests to the token endpoint. */
  tokenCalls = 0;
  /** Counts token requests that the server refused. */
  refusals = 0;
  /** Called when a token request has arrived, before the server looks at it. */
  onArrival: AnswerGate = () => {};
  /** Called when the server has decided on a token request, before the answer leaves. */
  beforeAnswer: AnswerGate = () => {};

  private constructor(issuer: string, provider: Provider, server: Server) {
    this.issuer = issuer;
    this.#provider = provider;
    this.#server = server;
  }

  /** Starts a server; access tokens live for `lifetimeS` seconds. */
  static async start(options: { readonly lifetimeS?: number } = {}): Promise<OauthServer> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const issuer = `http://127.0.0.1:${portOf(server)}`;
    const provider = createProvider(issuer, options.lifetimeS ?? 3600);
    const self = new OauthServer(issuer, provider, server);
    const serve = provider.callback();
    server.on('request', (request, response) => {
      void self.#handle(request, response, serve);
    });
    return self;
  }

  /** Grants scopes without a browser and returns the refresh token. */
  async grant(scopes: readonly string[] = ['read', 'write']): Promise<string> {
    const provider = this.#provider;
    const client = await provider.Client.find(CLIENT.id);
    if (client === undefined) throw new Error('the test client is unknown');
    const grant = new provider.Grant({ accountId: 'user', clientId: CLIENT.id });
    grant.addOIDCScope(scopes.join(' '));
    const grantId = await grant.save();
    const token = new provider.RefreshToken({
      accountId: 'user',
      client,
      grantId,
      gty: 'authorization_code',
      scope: scopes.join(' '),
    });
    return await token.save();
  }

  /**
   * Walks through login and consent as a browser does, and returns the address that it ends up at,
   * without opening it.
   */
  async consent(address: string): Promise<string> {
    const cookies = new Map<string, string>();
    let url = address;
    for (let step = 0; step < 20; step++) {
      const response = await fetch(url, {
        redirect: 'manual',
        headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
      });
      for (const line of response.headers.getSetCookie()) {
        const [pair = ''] = line.split(';');
        const cut = pair.indexOf('=');
        cookies.set(pair.slice(0, cut), pair.slice(cut + 1));
      }
      const location = response.headers.get('location');
      if (location === null) return url;
      const next = new URL(location, url);
      if (next.origin !== new URL(this.issuer).origin) return next.href;
      url = next.href;
    }
    throw new Error('the consent did not come to an end');
  }

  /** Approves a device flow by its user code, as its user does on another device. */
  async approveDevice(userCode: string): Promise<void> {
    const provider = this.#provider;
    const code = await provider.DeviceCode.findByUserCode(userCode.replace(/[^A-Z0-9]/gi, ''));
    if (code === undefined) throw new Error('there is no such user code');
    const grant = new provider.Grant({ accountId: 'user', clientId: CLIENT.id });
    const scope = typeof code.params?.['scope'] === 'string' ? code.params['scope'] : '';
    grant.addOIDCScope(scope);
    Object.assign(code, {
      accountId: 'user',
      grantId: await grant.save(),
      scope,
      authTime: Math.floor(Date.now() / 1000),
    });
    await code.save();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }

  async #handle(
    request: IncomingMessage,
    response: ServerResponse,
    serve: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
  ): Promise<void> {
    const path = (request.url ?? '').split('?')[0];
    if (path?.startsWith('/interaction/') === true) {
      await this.#approve(request, response);
      return;
    }
    if (path === '/token') {
      this.tokenCalls += 1;
      await this.onArrival();
      const end = response.end.bind(response);
      const late = (...parameters: Parameters<typeof end>): typeof response => {
        void (async () => {
          if (response.statusCode >= 400) this.refusals += 1;
          await this.beforeAnswer();
          end(...parameters);
        })();
        return response;
      };
      Object.assign(response, { end: late });
    }
    await serve(request, response);
  }

  async #approve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const provider = this.#provider;
    const { params, session, prompt } = await provider.interactionDetails(request, response);
    if (prompt.name === 'login') {
      await provider.interactionFinished(request, response, { login: { accountId: 'user' } });
      return;
    }
    const grant = new provider.Grant({
      accountId: session?.accountId ?? 'user',
      clientId: String(params['client_id']),
    });
    grant.addOIDCScope(typeof params['scope'] === 'string' ? params['scope'] : '');
    await provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } });
  }
}

function createProvider(issuer: string, lifetimeS: number): Provider {
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: CLIENT.id,
        client_secret: CLIENT.secret,
        application_type: 'native',
        redirect_uris: ['http://127.0.0.1/callback', 'http://localhost/callback'],
        response_types: ['code'],
        grant_types: [
          'authorization_code',
          'refresh_token',
          'client_credentials',
          'urn:ietf:params:oauth:grant-type:device_code',
        ],
        token_endpoint_auth_method: 'client_secret_post',
      },
    ],
    scopes: ['openid', 'offline_access', 'read', 'write'],
    features: {
      devInteractions: { enabled: false },
      deviceFlow: { enabled: true },
      revocation: { enabled: true },
      introspection: { enabled: true },
      clientCredentials: { enabled: true },
    },
    pkce: { required: () => true },
    rotateRefreshToken: () => true,
    issueRefreshToken: () => Promise.resolve(true),
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
    ttl: {
      AccessToken: lifetimeS,
      ClientCredentials: lifetimeS,
      RefreshToken: 30 * 86_400,
      Grant: 30 * 86_400,
      Session: 3600,
      Interaction: 600,
      DeviceCode: 600,
      AuthorizationCode: 60,
      IdToken: 3600,
    },
    cookies: { keys: ['test-cookie-key'] },
  });
  return provider;
}
