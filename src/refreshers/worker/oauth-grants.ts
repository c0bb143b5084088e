/**
 * OAuth 2 with any provider. Owns the oauth4webapi package.
 *
 * Its errors carry the answer's body (`error.cause`), which can hold tokens: they are caught here and dropped. What an
 * exchange meant is judged by the facts that ExchangeFetch kept.
 */

import * as oauth from 'oauth4webapi';
import { Secret } from '../../base/secret.ts';
import type { ProviderSettings } from '../provider-settings.ts';
import type { ExchangeFetch } from './exchange-fetch.ts';
import type { DeviceStart } from './device-start.ts';
import type { PendingAuthorization } from './pending-authorization.ts';
import { grantAnswer, type GrantAnswer } from './granted.ts';
import { judgeFailure, type Failure, type Judging, type Unusable } from './judge.ts';

/** Is one client at one provider, ready to be talked to. */
export interface OauthClient {
  readonly server: oauth.AuthorizationServer;
  readonly clientId: string;
  readonly clientSecret: Secret | null;
  readonly settings: ProviderSettings;
  readonly exchange: ExchangeFetch;
  readonly judging: Judging;
}

/** Finds a provider's endpoints: those that are set, and for the rest what its issuer publishes (OpenID Connect discovery, then RFC 8414). */
export async function findServer(
  settings: ProviderSettings,
  exchange: ExchangeFetch,
  judging: Judging,
): Promise<{ readonly kind: 'found'; readonly server: oauth.AuthorizationServer } | Failure | Unusable> {
  const known = {
    ...(settings.authorizationEndpoint === undefined ? {} : { authorization_endpoint: settings.authorizationEndpoint }),
    ...(settings.tokenEndpoint === undefined ? {} : { token_endpoint: settings.tokenEndpoint }),
    ...(settings.deviceEndpoint === undefined ? {} : { device_authorization_endpoint: settings.deviceEndpoint }),
    ...(settings.revocationEndpoint === undefined ? {} : { revocation_endpoint: settings.revocationEndpoint }),
  };
  if (settings.issuer === undefined) {
    return {
      kind: 'found',
      server: { issuer: new URL(settings.tokenEndpoint ?? 'https://unknown.invalid').origin, ...known },
    };
  }
  const issuer = new URL(settings.issuer);
  for (const algorithm of ['oidc', 'oauth2'] as const) {
    try {
      const response = await oauth.discoveryRequest(issuer, { algorithm, ...transport(exchange, issuer.href) });
      const published = await oauth.processDiscoveryResponse(issuer, response);
      return { kind: 'found', server: { ...published, ...known } };
    } catch {
      if (exchange.facts.kind === 'none') break;
    }
  }
  const { facts } = exchange;
  if (facts.kind === 'answer' && facts.status === 200 && facts.document !== null) {
    return {
      kind: 'unusable',
      reason: `${settings.issuer} publishes the endpoints of another issuer, or none`,
      remedy: 'write "issuer" exactly as the provider names itself, or "token_endpoint" in its place',
    };
  }
  const failure = judgeFailure(judging, facts);
  // A missing document is no refusal of the account's grant.
  return failure.kind === 'transient'
    ? failure
    : { kind: 'transient', cause: 'server', reason: `${settings.issuer} does not publish its endpoints` };
}

/** Renews an access token (RFC 6749 §6). */
export async function refreshGrant(client: OauthClient, refreshToken: Secret): Promise<GrantAnswer> {
  return await attempt(client, async ({ server, metadata, authentication, options }) => {
    const response = await oauth.refreshTokenGrantRequest(
      server,
      metadata,
      authentication,
      refreshToken.reveal(),
      options,
    );
    await oauth.processRefreshTokenResponse(server, metadata, response);
  });
}

/** Asks for a token on the client's own behalf (RFC 6749 §4.4). */
export async function clientCredentialsGrant(client: OauthClient, scopes: readonly string[]): Promise<GrantAnswer> {
  return await attempt(client, async ({ server, metadata, authentication, options }) => {
    const parameters =
      scopes.length === 0 ? new URLSearchParams() : new URLSearchParams({ scope: joinScopes(client, scopes) });
    const response = await oauth.clientCredentialsGrantRequest(server, metadata, authentication, parameters, options);
    await oauth.processClientCredentialsResponse(server, metadata, response);
  });
}

/** Makes the address of the provider's consent page. */
export function authorizationUrl(client: OauthClient, scopes: readonly string[], pending: PendingAuthorization): URL {
  const url = new URL(client.server.authorization_endpoint ?? '');
  const parameters = {
    client_id: client.clientId,
    response_type: 'code',
    redirect_uri: pending.redirectUri,
    ...(scopes.length === 0 ? {} : { scope: joinScopes(client, scopes) }),
    state: pending.state,
    code_challenge: pending.challenge,
    code_challenge_method: 'S256',
    ...client.settings.authorizationParams,
  };
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url;
}

/** Exchanges the code that a redirect brought. Its state has to be checked before. */
export async function codeGrant(
  client: OauthClient,
  pending: PendingAuthorization,
  redirect: URLSearchParams,
): Promise<GrantAnswer> {
  return await attempt(client, async ({ server, metadata, authentication, options }) => {
    const callback = new URLSearchParams(redirect);
    // Without discovery the issuer's own name is not known, so RFC 9207's parameter cannot be compared.
    if (client.settings.issuer === undefined) callback.delete('iss');
    // An ID token is of no use here and is cut from the answer, so its half of the redirect goes too.
    callback.delete('id_token');
    const checked = oauth.validateAuthResponse(server, metadata, callback, pending.state);
    const response = await oauth.authorizationCodeGrantRequest(
      server,
      metadata,
      authentication,
      checked,
      pending.redirectUri,
      pending.verifier.reveal(),
      options,
    );
    await oauth.processAuthorizationCodeResponse(server, metadata, response);
  });
}

/** Starts a device flow (RFC 8628 §3.1). */
export async function beginDevice(client: OauthClient, scopes: readonly string[]): Promise<DeviceStart | Failure> {
  const { server, metadata, authentication } = parts(client);
  try {
    const parameters =
      scopes.length === 0 ? new URLSearchParams() : new URLSearchParams({ scope: joinScopes(client, scopes) });
    const endpoint = server.device_authorization_endpoint ?? '';
    const response = await oauth.deviceAuthorizationRequest(
      server,
      metadata,
      authentication,
      parameters,
      transport(client.exchange, endpoint),
    );
    const answer = await oauth.processDeviceAuthorizationResponse(server, metadata, response);
    return {
      deviceCode: new Secret(answer.device_code),
      userCode: answer.user_code,
      verificationUri: answer.verification_uri,
      ...(answer.verification_uri_complete === undefined
        ? {}
        : { verificationUriComplete: answer.verification_uri_complete }),
      expiresInS: answer.expires_in,
      intervalS: answer.interval ?? 5,
    };
  } catch {
    return judgeFailure(client.judging, client.exchange.facts);
  }
}

/** Asks once whether the user has consented (RFC 8628 §3.4); the answer is often `authorization_pending` or `slow_down`, as an error. */
export async function deviceGrant(client: OauthClient, deviceCode: Secret): Promise<GrantAnswer> {
  return await attempt(client, async ({ server, metadata, authentication, options }) => {
    const response = await oauth.deviceCodeGrantRequest(server, metadata, authentication, deviceCode.reveal(), options);
    await oauth.processDeviceCodeResponse(server, metadata, response);
  });
}

/** Ends a grant at the provider (RFC 7009); returns null when the provider took it. */
export async function revokeGrant(client: OauthClient, token: Secret, hint: string): Promise<Failure | null> {
  const { server, metadata, authentication } = parts(client);
  try {
    const response = await oauth.revocationRequest(server, metadata, authentication, token.reveal(), {
      additionalParameters: { token_type_hint: hint },
      ...transport(client.exchange, server.revocation_endpoint ?? ''),
    });
    await oauth.processRevocationResponse(response);
    return null;
  } catch {
    return judgeFailure(client.judging, client.exchange.facts);
  }
}

interface Parts {
  readonly server: oauth.AuthorizationServer;
  readonly metadata: oauth.Client;
  readonly authentication: oauth.ClientAuth;
  readonly options: oauth.TokenEndpointRequestOptions;
}

async function attempt(client: OauthClient, send: (parts: Parts) => Promise<void>): Promise<GrantAnswer> {
  try {
    await send(parts(client));
  } catch {
    // Judged by the facts below.
  }
  return grantAnswer(client.exchange.facts, client.judging);
}

function parts(client: OauthClient): Parts {
  return {
    server: client.server,
    metadata: { client_id: client.clientId },
    authentication: authenticationOf(client),
    options: transport(client.exchange, client.server.token_endpoint ?? ''),
  };
}

/** Chooses how the client proves itself: as set, else as the provider publishes, else by the header that RFC 6749 §2.3.1 prefers. */
function authenticationOf(client: OauthClient): oauth.ClientAuth {
  if (client.clientSecret === null || client.settings.clientAuthentication === 'none') return oauth.None();
  const published = client.server.token_endpoint_auth_methods_supported;
  const method =
    client.settings.clientAuthentication ??
    (published === undefined || published.includes('client_secret_basic')
      ? 'client_secret_basic'
      : 'client_secret_post');
  const secret = client.clientSecret.reveal();
  return method === 'client_secret_basic' ? oauth.ClientSecretBasic(secret) : oauth.ClientSecretPost(secret);
}

function joinScopes(client: OauthClient, scopes: readonly string[]): string {
  return scopes.join(client.settings.scopeSeparator ?? ' ');
}

/** Hands the library our way of sending. Plain http passes here only because ExchangeFetch refuses it for any host but this machine. */
function transport(exchange: ExchangeFetch, endpoint: string) {
  return {
    [oauth.customFetch]: (url: string, request: oauth.CustomFetchOptions<string, URLSearchParams | undefined>) =>
      exchange.fetch(url, {
        method: request.method,
        headers: request.headers,
        ...(request.body === undefined ? {} : { body: request.body }),
      }),
    [oauth.allowInsecureRequests]: endpoint.startsWith('http:'),
  };
}
