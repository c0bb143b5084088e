/**
 * OAuth 2 with any provider. Owns the oauth4webapi package.
 *
 * Its errors carry the answer's body (`error.cause`), which can hold tokens: they are caught here
 * and dropped. What an exchange meant is judged by the facts that Exchange kept.
 */

import { createPrivateKey, type KeyObject } from 'node:crypto';
import * as oauth from 'oauth4webapi';
import { isRecord, parseJson, readString } from '../../base/json.ts';
import { isTransientStatus } from '../../base/retry-after.ts';
import { Secret } from '../../base/secret.ts';
import {
  explainForeignIssuer,
  explainIssuer,
  explainMissingEndpoint,
  explainUnusableKey,
  type Explanation,
} from '../messages.ts';
import type { ClientAuthentication, ExtraParams } from '../provider-presets.ts';
import type { OAuthClient, PendingAuthorization } from './client.ts';
import type { Exchange } from './exchange.ts';
import {
  judgeAnswer,
  judgeDeviceAnswer,
  judgeFailure,
  judgeRevocation,
  type DeviceAnswer,
  type ExchangeAnswer,
  type Failure,
  type GrantAnswer,
  type JudgeOptions,
  type RevocationAnswer,
  type Unusable,
} from './token-answer.ts';

/** Authorization server, as its metadata describes it (RFC 8414 §2). */
export type AuthorizationServer = oauth.AuthorizationServer;

/** Endpoints of a provider, as set and as published. */
type Discovery = { readonly kind: 'found'; readonly server: oauth.AuthorizationServer } | Failure | Unusable;

/** Discoveries of the clients of this process: each asks its provider once. */
const discoveries = new WeakMap<OAuthClient, Promise<Discovery>>();

function discover(client: OAuthClient): Promise<Discovery> {
  const known = discoveries.get(client) ?? findServer(client);
  discoveries.set(client, known);
  return known;
}

/**
 * Finds a provider's endpoints. Those that are set come first, then what its issuer publishes.
 * Tried are OpenID Connect discovery, RFC 8414, and OpenID Connect's document at RFC 8414's place.
 * An issuer is tried with and without a slash at its end; the name it publishes has to be the one
 * asked for.
 */
async function findServer(client: OAuthClient): Promise<Discovery> {
  const { settings, exchange, account } = client;
  const known = {
    ...(settings.authorizationEndpoint === undefined ? {} : { authorization_endpoint: settings.authorizationEndpoint }),
    ...(settings.tokenEndpoint === undefined ? {} : { token_endpoint: settings.tokenEndpoint }),
    ...(settings.deviceEndpoint === undefined ? {} : { device_authorization_endpoint: settings.deviceEndpoint }),
    ...(settings.revocationEndpoint === undefined ? {} : { revocation_endpoint: settings.revocationEndpoint }),
  };
  const withToken = (server: oauth.AuthorizationServer): Discovery =>
    server.token_endpoint !== undefined
      ? { kind: 'found', server }
      : { kind: 'unusable', ...explainMissingEndpoint(account) };
  if (settings.issuer === undefined) {
    return withToken({ issuer: new URL(settings.tokenEndpoint ?? 'https://unknown.invalid').origin, ...known });
  }
  const published = await discoverIssuer(settings.issuer, exchange);
  if (published.kind === 'none') return explainDiscovery(client, settings.issuer, published.facts);
  return withToken({ ...published.server, ...known });
}

/** Reads what an issuer publishes, or returns the facts that best explain why it does not. */
export async function discoverIssuer(
  address: string,
  exchange: Exchange,
): Promise<
  | { readonly kind: 'found'; readonly server: oauth.AuthorizationServer }
  | { readonly kind: 'none'; readonly facts: ExchangeAnswer }
> {
  let telling: ExchangeAnswer | undefined;
  for (const issuer of withAndWithoutSlash(address)) {
    const options = transport(exchange, issuer.href);
    const places = [
      () => oauth.discoveryRequest(issuer, { algorithm: 'oidc', ...options }),
      () => oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...options }),
      () => exchange.fetch(`${issuer.origin}/.well-known/openid-configuration${issuer.pathname}`),
    ];
    for (const place of issuer.pathname === '/' ? places.slice(0, 2) : places) {
      try {
        return { kind: 'found', server: await oauth.processDiscoveryResponse(issuer, await place()) };
      } catch {
        if (exchange.facts.kind === 'none') return { kind: 'none', facts: exchange.facts };
        if (telling === undefined || isDocument(exchange.facts)) telling = exchange.facts;
      }
    }
  }
  return { kind: 'none', facts: telling ?? exchange.facts };
}

function withAndWithoutSlash(address: string): readonly URL[] {
  const first = new URL(address);
  if (first.pathname === '/') return [first];
  const second = new URL(address);
  second.pathname = first.pathname.endsWith('/') ? first.pathname.replace(/\/+$/, '') : `${first.pathname}/`;
  return [first, second];
}

function isDocument(facts: ExchangeAnswer): boolean {
  return facts.kind === 'answer' && facts.status === 200 && facts.document !== null;
}

function explainDiscovery(
  { judging, account }: OAuthClient,
  issuer: string,
  facts: ExchangeAnswer,
): Failure | Unusable {
  if (facts.kind === 'answer' && isDocument(facts)) {
    const other = readString(facts.document, 'issuer');
    const named = other === undefined ? 'names no issuer' : `names another issuer (${other})`;
    return { kind: 'unusable', ...explainIssuer(account, `the document of issuer ${issuer} ${named}`) };
  }
  if (facts.kind === 'answer' && facts.status >= 300 && !isTransientStatus(facts.status)) {
    const shown = `${facts.address} answered with status ${facts.status}`;
    return { kind: 'unusable', ...explainIssuer(account, `issuer ${issuer} does not publish its endpoints: ${shown}`) };
  }
  const failure = judgeFailure(facts, judging);
  const reason = `the endpoints of issuer ${issuer} are not known: ${failure.reason}`;
  return failure.kind === 'transient' ? { ...failure, reason } : { kind: 'transient', cause: 'server', reason };
}

/** Renews an access token (RFC 6749 §6). */
export async function refreshGrant(client: OAuthClient, refreshToken: Secret): Promise<GrantAnswer> {
  return await requestTokens(client, ({ server, metadata, authentication, options }) =>
    oauth.refreshTokenGrantRequest(server, metadata, authentication, refreshToken.reveal(), options),
  );
}

/** Asks for a token on the client's own behalf (RFC 6749 §4.4). */
export async function ownGrant(client: OAuthClient): Promise<GrantAnswer> {
  return await requestTokens(client, ({ server, metadata, authentication, options }) => {
    const parameters = new URLSearchParams(options.additionalParameters);
    // There is no authorization request: what was written for it can only be meant for this one.
    for (const name of ['audience', 'resource']) {
      const value = client.settings.authorizationParams?.[name];
      if (value !== undefined && !parameters.has(name)) append(parameters, { [name]: value });
    }
    const scopes = client.file?.requestedScopes ?? [];
    if (scopes.length > 0) parameters.set('scope', joinScopes(client, scopes));
    return oauth.clientCredentialsGrantRequest(server, metadata, authentication, parameters, options);
  });
}

/** Makes the address of the provider's consent page, or explains why there is none. */
export async function authorizationUrl(
  client: OAuthClient,
  scopes: readonly string[],
  pending: PendingAuthorization,
): Promise<{ readonly kind: 'url'; readonly url: string | undefined } | Failure | Unusable> {
  const found = await discover(client);
  if (found.kind !== 'found') return found;
  const endpoint = found.server.authorization_endpoint;
  if (endpoint === undefined || !URL.canParse(endpoint)) return { kind: 'url', url: undefined };
  const url = new URL(endpoint);
  const parameters = {
    client_id: client.clientId,
    response_type: 'code',
    redirect_uri: pending.redirectUri,
    ...(scopes.length === 0 ? {} : { scope: joinScopes(client, scopes) }),
    state: pending.state,
    code_challenge: pending.challenge,
    code_challenge_method: 'S256',
    ...client.settings.commonParams,
    ...client.settings.authorizationParams,
  };
  for (const name of Object.keys(parameters)) url.searchParams.delete(name);
  append(url.searchParams, parameters);
  return { kind: 'url', url: url.href };
}

export async function codeGrant(
  client: OAuthClient,
  pending: PendingAuthorization,
  redirect: URLSearchParams,
): Promise<GrantAnswer> {
  const found = await discover(client);
  if (found.kind !== 'found') return found;
  const callback = new URLSearchParams(redirect);
  // Without discovery the issuer's own name is not known, so RFC 9207's parameter cannot be
  // compared.
  if (client.settings.issuer === undefined) callback.delete('iss');
  // An ID token is of no use here, so its half of the redirect goes too.
  callback.delete('id_token');
  let checked: URLSearchParams;
  try {
    checked = oauth.validateAuthResponse(found.server, { client_id: client.clientId }, callback, pending.state);
  } catch {
    return { kind: 'unusable', ...explainForeignIssuer(found.server.issuer) };
  }
  return await requestTokens(client, ({ server, metadata, authentication, options }) =>
    oauth.authorizationCodeGrantRequest(
      server,
      metadata,
      authentication,
      checked,
      pending.redirectUri,
      pending.verifier.reveal(),
      options,
    ),
  );
}

/**
 * Starts a device flow (RFC 8628 §3.1), with PKCE, which some providers demand here too; `none`
 * where the provider has no device endpoint.
 */
export async function beginDevice(
  client: OAuthClient,
  scopes: readonly string[],
): Promise<(DeviceAnswer & { readonly verifier: Secret }) | { readonly kind: 'none' } | Failure | Unusable> {
  const found = await discover(client);
  if (found.kind !== 'found') return found;
  const { server } = found;
  const { device_authorization_endpoint: endpoint } = server;
  if (endpoint === undefined) return { kind: 'none' };
  const verifier = oauth.generateRandomCodeVerifier();
  const parameters = new URLSearchParams();
  if (scopes.length > 0) parameters.set('scope', joinScopes(client, scopes));
  parameters.set('code_challenge', await oauth.calculatePKCECodeChallenge(verifier));
  parameters.set('code_challenge_method', 'S256');
  append(parameters, client.settings.commonParams);
  const options = transport(client.exchange, endpoint);
  const answer = await ask(client, server, judgeDeviceAnswer, ({ metadata, authentication }) =>
    oauth.deviceAuthorizationRequest(server, metadata, authentication, parameters, options),
  );
  return answer.kind === 'started' ? { ...answer, verifier: new Secret(verifier) } : answer;
}

/** Asks once whether the user has consented (RFC 8628 §3.4); often the answer is an error. */
export async function deviceGrant(client: OAuthClient, deviceCode: Secret, verifier: Secret): Promise<GrantAnswer> {
  return await requestTokens(client, ({ server, metadata, authentication, options }) => {
    options.additionalParameters.set('code_verifier', verifier.reveal());
    return oauth.deviceCodeGrantRequest(server, metadata, authentication, deviceCode.reveal(), options);
  });
}

/** Ends a grant (RFC 7009). */
export async function revokeGrant(
  client: OAuthClient,
  token: Secret,
  kind: 'access_token' | 'refresh_token',
): Promise<RevocationAnswer> {
  const found = await discover(client);
  if (found.kind === 'unusable') return { kind: 'none' };
  if (found.kind !== 'found') return found;
  const { server } = found;
  const { revocation_endpoint: endpoint } = server;
  if (endpoint === undefined) return { kind: 'none' };
  const options = { additionalParameters: { token_type_hint: kind }, ...transport(client.exchange, endpoint) };
  return await ask(client, server, judgeRevocation, ({ metadata, authentication }) =>
    oauth.revocationRequest(server, metadata, authentication, token.reveal(), options),
  );
}

interface TokenEndpointRequest extends ClientProof {
  readonly server: oauth.AuthorizationServer;
  readonly options: oauth.TokenEndpointRequestOptions & { readonly additionalParameters: URLSearchParams };
}

async function requestTokens(
  client: OAuthClient,
  send: (request: TokenEndpointRequest) => Promise<Response>,
): Promise<GrantAnswer> {
  const found = await discover(client);
  if (found.kind !== 'found') return found;
  const { server } = found;
  return await ask(client, server, judgeAnswer, (proof) => {
    const additionalParameters = new URLSearchParams();
    append(additionalParameters, { ...client.settings.commonParams, ...client.settings.tokenParams });
    const options = { ...transport(client.exchange, server.token_endpoint ?? ''), additionalParameters };
    return send({ server, ...proof, options });
  });
}

interface ClientProof {
  readonly metadata: oauth.Client;
  readonly authentication: oauth.ClientAuth;
}

/**
 * Sends a request, and judges the facts of the exchange. Where no method of client authentication
 * is set, a refusal of the client is a reason to try the other one. It does not use up the grant
 * (RFC 6749 §5.2 has the client checked first).
 */
async function ask<T extends { readonly kind: string } | null>(
  client: OAuthClient,
  server: oauth.AuthorizationServer,
  judge: (facts: ExchangeAnswer, judging: JudgeOptions) => T | Failure,
  send: (proof: ClientProof) => Promise<Response>,
): Promise<T | Failure | Unusable> {
  const { exchange, judging } = client;
  let answer: T | Failure | undefined;
  for (const method of authenticationMethods(client, server)) {
    const authentication = await authenticationOf(client, server, method);
    if (typeof authentication !== 'function') return { kind: 'unusable', ...authentication };
    try {
      await send({ metadata: { client_id: client.clientId }, authentication });
      answer = judge(exchange.facts, judging);
    } catch {
      // Nothing was sent, or no answer came.
      answer = judgeFailure(exchange.facts, judging);
    }
    if (answer === null || !('error' in answer) || answer.error !== 'invalid_client') return answer;
  }
  return answer ?? judgeFailure(exchange.facts, judging);
}

/** Returns how the client may prove itself, best first (RFC 6749 §2.3.1). */
function authenticationMethods(
  { settings, clientSecret, privateKey }: OAuthClient,
  server: oauth.AuthorizationServer,
): readonly ClientAuthentication[] {
  if (settings.clientAuthentication !== undefined) return [settings.clientAuthentication];
  if (privateKey !== null) return ['private_key_jwt'];
  if (clientSecret === null) return ['none'];
  const methods = ['client_secret_basic', 'client_secret_post'] as const;
  const published = server.token_endpoint_auth_methods_supported;
  const usable = methods.filter((method) => published?.includes(method) ?? true);
  if (usable.length > 0) return usable;
  return published?.includes('client_secret_jwt') === true ? ['client_secret_jwt'] : methods;
}

async function authenticationOf(
  client: OAuthClient,
  server: oauth.AuthorizationServer,
  method: ClientAuthentication,
): Promise<oauth.ClientAuth | Explanation> {
  if (method === 'private_key_jwt') {
    const key = await signingKey(client, server);
    return 'key' in key ? oauth.PrivateKeyJwt(key) : key;
  }
  const secret = client.clientSecret?.reveal();
  if (secret === undefined || method === 'none') return oauth.None();
  if (method === 'client_secret_jwt') return oauth.ClientSecretJwt(secret);
  return method === 'client_secret_basic' ? oauth.ClientSecretBasic(secret) : oauth.ClientSecretPost(secret);
}

/**
 * Reads the client's private key, PEM or JWK, for the algorithm that is set, or that key and
 * provider have in common. Returns why it cannot be used where that is so.
 */
async function signingKey(
  { privateKey, settings, account }: OAuthClient,
  server: oauth.AuthorizationServer,
): Promise<oauth.PrivateKey | Explanation> {
  if (privateKey === null) return explainUnusableKey(account, 'private_key_jwt needs the private key of the client');
  const jwk = parseJson(privateKey.reveal());
  let key: KeyObject;
  try {
    key = isRecord(jwk) ? createPrivateKey({ key: jwk, format: 'jwk' }) : createPrivateKey(privateKey.reveal());
  } catch {
    return explainUnusableKey(account, 'the "private_key" of the client cannot be read');
  }
  const usable = algorithmsOf(key);
  const published = server.token_endpoint_auth_signing_alg_values_supported;
  const algorithm =
    settings.clientSigningAlgorithm ??
    readString(jwk, 'alg') ??
    usable.find((one) => published?.includes(one) ?? true) ??
    usable[0] ??
    'any known algorithm';
  const parameters = IMPORT_PARAMETERS[algorithm];
  if (parameters === undefined || !usable.includes(algorithm)) {
    return explainUnusableKey(account, `the "private_key" of the client cannot sign with ${algorithm}`);
  }
  const keyId = readString(jwk, 'kid');
  const imported = await crypto.subtle.importKey('jwk', key.export({ format: 'jwk' }), parameters, false, ['sign']);
  return { key: imported, ...(keyId === undefined ? {} : { kid: keyId }) };
}

/** Algorithms of elliptic curves, by OpenSSL's names for these. */
const CURVE_ALGORITHMS: Readonly<Record<string, string>> = {
  prime256v1: 'ES256',
  secp384r1: 'ES384',
  secp521r1: 'ES512',
};

/** Shortest RSA key that signs, in bits (RFC 7518 §3.3). */
const MIN_RSA_BITS = 2048;

/** Returns the algorithms that a key can sign with, best first. */
function algorithmsOf({ asymmetricKeyType, asymmetricKeyDetails = {} }: KeyObject): readonly string[] {
  const { modulusLength = 0, namedCurve = '' } = asymmetricKeyDetails;
  const curve = CURVE_ALGORITHMS[namedCurve];
  switch (asymmetricKeyType) {
    case 'rsa':
      return modulusLength < MIN_RSA_BITS ? [] : ['RS256', 'PS256', 'RS384', 'RS512'];
    case 'ec':
      return curve === undefined ? [] : [curve];
    case 'ed25519':
      return ['Ed25519', 'EdDSA'];
    default:
      return [];
  }
}

const IMPORT_PARAMETERS: Readonly<
  Record<string, { readonly name: string; readonly hash?: string; readonly namedCurve?: string }>
> = {
  RS256: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
  RS384: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-384' },
  RS512: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-512' },
  PS256: { name: 'RSA-PSS', hash: 'SHA-256' },
  ES256: { name: 'ECDSA', namedCurve: 'P-256' },
  ES384: { name: 'ECDSA', namedCurve: 'P-384' },
  ES512: { name: 'ECDSA', namedCurve: 'P-521' },
  Ed25519: { name: 'Ed25519' },
  EdDSA: { name: 'Ed25519' },
};

function joinScopes(client: OAuthClient, scopes: readonly string[]): string {
  return scopes.join(client.settings.scopeSeparator ?? ' ');
}

function append(target: URLSearchParams, params: ExtraParams = {}): void {
  for (const [name, value] of Object.entries(params)) {
    for (const one of typeof value === 'string' ? [value] : value) target.append(name, one);
  }
}

/** Returns options for our way of sending; Exchange refuses plain http to other machines. */
function transport(exchange: Exchange, endpoint: string) {
  return {
    [oauth.customFetch]: (
      url: string,
      request: oauth.CustomFetchOptions<string, URLSearchParams | string | undefined>,
    ) =>
      exchange.fetch(url, {
        method: request.method,
        headers: request.headers,
        ...(request.body === undefined ? {} : { body: request.body }),
      }),
    [oauth.allowInsecureRequests]: endpoint.startsWith('http:'),
  };
}
