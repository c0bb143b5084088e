/**
 * OAuth 2 with any provider. Owns the oauth4webapi package.
 *
 * Its errors carry the answer's body (`error.cause`), which can hold tokens: they are caught here
 * and dropped. What an exchange meant is judged by the facts that Exchange kept.
 */

import { createPrivateKey, type KeyObject } from 'node:crypto';
import * as oauth from 'oauth4webapi';
import { isRecord, parseJson, readString } from '../../base/json.ts';
import { Secret } from '../../base/secret.ts';
import type { ClientAuthentication, ExtraParams } from '../provider-presets.ts';
import type { PendingAuthorization, StandardClient } from './client.ts';
import type { Exchange } from './exchange.ts';
import {
  judgeAnswer,
  judgeFailure,
  type ExchangeAnswer,
  type Failure,
  type GrantAnswer,
  type Unusable,
} from './token-answer.ts';

/** Endpoints of a provider, as set and as published. */
type Discovery = { readonly kind: 'found'; readonly server: oauth.AuthorizationServer } | Failure | Unusable;

/** Discoveries of the clients of this process: each asks its provider once. */
const discoveries = new WeakMap<StandardClient, Promise<Discovery>>();

function discover(client: StandardClient): Promise<Discovery> {
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
async function findServer(client: StandardClient): Promise<Discovery> {
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
      : {
          kind: 'unusable',
          reason: `no token endpoint is known for ${account.name}`,
          remedy: `write "issuer", or "token_endpoint", into ${account.file}`,
        };
  if (settings.issuer === undefined) {
    return withToken({ issuer: new URL(settings.tokenEndpoint ?? 'https://unknown.invalid').origin, ...known });
  }
  const published = await discoverIssuer(settings.issuer, exchange);
  if (published.kind === 'none') return explainDiscovery(client, settings.issuer, published.facts);
  return withToken({ ...published.server, ...known });
}

/**
 * Reads what an issuer publishes, or returns the facts that explain best why it publishes nothing.
 */
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
    for (const ask of issuer.pathname === '/' ? places.slice(0, 2) : places) {
      try {
        return { kind: 'found', server: await oauth.processDiscoveryResponse(issuer, await ask()) };
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

/**
 * Explains why an issuer's endpoints are not known. A missing document is not a refusal of the
 * account's grant.
 */
function explainDiscovery(
  { judging, account }: StandardClient,
  issuer: string,
  facts: ExchangeAnswer,
): Failure | Unusable {
  const remedy = `write "issuer" into ${account.file} exactly as the provider names itself, or "token_endpoint" in its place`;
  if (facts.kind === 'answer' && isDocument(facts)) {
    const other = readString(facts.document, 'issuer');
    const named = other === undefined ? 'names no issuer' : `names another issuer (${other})`;
    return { kind: 'unusable', reason: `the document of issuer ${issuer} ${named}`, remedy };
  }
  if (facts.kind === 'answer' && facts.status >= 300 && facts.status < 500 && ![408, 425, 429].includes(facts.status)) {
    const reason = `issuer ${issuer} does not publish its endpoints: ${facts.address} answered with status ${facts.status}`;
    return { kind: 'unusable', reason, remedy };
  }
  const failure = judgeFailure(judging, facts);
  const reason = `the endpoints of issuer ${issuer} are not known: ${failure.reason}`;
  return failure.kind === 'transient' ? { ...failure, reason } : { kind: 'transient', cause: 'server', reason };
}

/** Renews an access token (RFC 6749 §6). */
export async function refreshGrant(client: StandardClient, refreshToken: Secret): Promise<GrantAnswer> {
  return await requestTokens(client, async ({ server, metadata, authentication, options }) => {
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
export async function clientCredentialsGrant(client: StandardClient, scopes: readonly string[]): Promise<GrantAnswer> {
  return await requestTokens(client, async ({ server, metadata, authentication, options }) => {
    const parameters = new URLSearchParams(options.additionalParameters);
    // There is no authorization request: what was written for it can only be meant for this one.
    for (const name of ['audience', 'resource']) {
      if (!parameters.has(name)) append(parameters, pick(client.settings.authorizationParams, name));
    }
    if (scopes.length > 0) parameters.set('scope', joinScopes(client, scopes));
    const response = await oauth.clientCredentialsGrantRequest(server, metadata, authentication, parameters, options);
    await oauth.processClientCredentialsResponse(server, metadata, response);
  });
}

/** Makes the address of the provider's consent page, or explains why there is none. */
export async function authorizationUrl(
  client: StandardClient,
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

/** Exchanges the code that a redirect brought. Its state has to be checked before. */
export async function codeGrant(
  client: StandardClient,
  pending: PendingAuthorization,
  redirect: URLSearchParams,
): Promise<GrantAnswer> {
  const found = await discover(client);
  if (found.kind !== 'found') return found;
  const callback = new URLSearchParams(redirect);
  // Without discovery the issuer's own name is not known, so RFC 9207's parameter cannot be
  // compared.
  if (client.settings.issuer === undefined) callback.delete('iss');
  // An ID token is of no use here and is cut from the answer, so its half of the redirect goes too.
  callback.delete('id_token');
  let checked: URLSearchParams;
  try {
    checked = oauth.validateAuthResponse(found.server, { client_id: client.clientId }, callback, pending.state);
  } catch {
    return {
      kind: 'unusable',
      reason: `the redirect does not come from ${found.server.issuer}: its parameter "iss" is missing or another's (RFC 9207)`,
      remedy: 'start again; if it happens again, report it to the provider',
    };
  }
  return await requestTokens(client, async ({ server, metadata, authentication, options }) => {
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

/** Begin of a device flow (RFC 8628 §3.2). */
export interface DeviceAuthorization {
  readonly kind: 'started';
  readonly deviceCode: Secret;
  /** PKCE verifier (RFC 7636), for providers that demand it here too. */
  readonly verifier: Secret;
  readonly userCode: string;
  readonly verificationUri: string;
  readonly verificationUriComplete?: string;
  readonly expiresInS: number;
  readonly intervalS: number;
}

/**
 * Starts a device flow (RFC 8628 §3.1), with PKCE; `none` where the provider has no device
 * endpoint.
 */
export async function beginDevice(
  client: StandardClient,
  scopes: readonly string[],
): Promise<DeviceAuthorization | { readonly kind: 'none' } | Failure | Unusable> {
  const found = await discover(client);
  if (found.kind !== 'found') return found;
  const { server } = found;
  if (server.device_authorization_endpoint === undefined) return { kind: 'none' };
  const verifier = oauth.generateRandomCodeVerifier();
  const parameters = new URLSearchParams();
  if (scopes.length > 0) parameters.set('scope', joinScopes(client, scopes));
  parameters.set('code_challenge', await oauth.calculatePKCECodeChallenge(verifier));
  parameters.set('code_challenge_method', 'S256');
  append(parameters, client.settings.commonParams);
  const endpoint = server.device_authorization_endpoint;
  return await attempt(client, server, async ({ metadata, authentication }) => {
    const options = transport(client.exchange, endpoint);
    const response = await oauth.deviceAuthorizationRequest(server, metadata, authentication, parameters, options);
    const answer = await oauth.processDeviceAuthorizationResponse(server, metadata, response);
    return {
      kind: 'started',
      deviceCode: new Secret(answer.device_code),
      verifier: new Secret(verifier),
      userCode: answer.user_code,
      verificationUri: answer.verification_uri,
      ...(answer.verification_uri_complete === undefined
        ? {}
        : { verificationUriComplete: answer.verification_uri_complete }),
      expiresInS: answer.expires_in,
      intervalS: answer.interval ?? 5,
    };
  });
}

/**
 * Asks once whether the user has consented (RFC 8628 §3.4); the answer is often
 * `authorization_pending` or `slow_down`, as an error.
 */
export async function deviceGrant(
  client: StandardClient,
  { deviceCode, verifier }: DeviceAuthorization,
): Promise<GrantAnswer> {
  return await requestTokens(client, async ({ server, metadata, authentication, options }) => {
    const additionalParameters = new URLSearchParams(options.additionalParameters);
    additionalParameters.set('code_verifier', verifier.reveal());
    const response = await oauth.deviceCodeGrantRequest(server, metadata, authentication, deviceCode.reveal(), {
      ...options,
      additionalParameters,
    });
    await oauth.processDeviceCodeResponse(server, metadata, response);
  });
}

/**
 * Ends a grant (RFC 7009): returns null when the provider took it, `none` where it has no endpoint
 * for that.
 */
export async function revokeGrant(
  client: StandardClient,
  token: Secret,
  hint: 'access_token' | 'refresh_token',
): Promise<Failure | Unusable | { readonly kind: 'none' } | null> {
  const found = await discover(client);
  if (found.kind === 'unusable') return { kind: 'none' };
  if (found.kind !== 'found') return found;
  const { server } = found;
  if (server.revocation_endpoint === undefined) return { kind: 'none' };
  const endpoint = server.revocation_endpoint;
  return await attempt(client, server, async ({ metadata, authentication }) => {
    const response = await oauth.revocationRequest(server, metadata, authentication, token.reveal(), {
      additionalParameters: { token_type_hint: hint },
      ...transport(client.exchange, endpoint),
    });
    await oauth.processRevocationResponse(response);
    return null;
  });
}

/** What one request to the token endpoint is made with. */
interface TokenEndpointRequest extends ClientProof {
  readonly server: oauth.AuthorizationServer;
  readonly options: oauth.TokenEndpointRequestOptions & { readonly additionalParameters: URLSearchParams };
}

/** Sends a request to the token endpoint, and judges the answer by the facts of the exchange. */
async function requestTokens(
  client: StandardClient,
  send: (request: TokenEndpointRequest) => Promise<void>,
): Promise<GrantAnswer> {
  const found = await discover(client);
  if (found.kind !== 'found') return found;
  const { server } = found;
  return await attempt(client, server, async (proof) => {
    const additionalParameters = new URLSearchParams();
    append(additionalParameters, { ...client.settings.commonParams, ...client.settings.tokenParams });
    const options = { ...transport(client.exchange, server.token_endpoint ?? ''), additionalParameters };
    await send({ server, ...proof, options }).catch(() => {});
    return judgeAnswer(client.exchange.facts, client.judging);
  });
}

/** How a client proves itself in a request. */
interface ClientProof {
  readonly metadata: oauth.Client;
  readonly authentication: oauth.ClientAuth;
}

/**
 * Sends a request. Where no method of client authentication is set, a refusal of the client is a
 * reason to try the other one. It does not use up the grant (RFC 6749 §5.2 has the client checked
 * first).
 */
async function attempt<T extends { readonly kind: string } | null>(
  client: StandardClient,
  server: oauth.AuthorizationServer,
  send: (proof: ClientProof) => Promise<T>,
): Promise<T | Failure | Unusable> {
  let answer: T | Failure | undefined;
  for (const method of authenticationMethods(client, server)) {
    try {
      const authentication = await authenticationOf(client, server, method);
      answer = await send({ metadata: { client_id: client.clientId }, authentication });
    } catch (error) {
      if (error instanceof UnusableKey) return { kind: 'unusable', reason: error.message, remedy: error.remedy };
      answer = judgeFailure(client.judging, client.exchange.facts);
    }
    if (answer === null || !('error' in answer) || answer.error !== 'invalid_client') return answer;
  }
  return answer ?? judgeFailure(client.judging, client.exchange.facts);
}

/**
 * Returns how the client may prove itself, best first: as set, else as published, else by header
 * and by body (RFC 6749 §2.3.1).
 */
function authenticationMethods(
  { settings, clientSecret, privateKey }: StandardClient,
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
  client: StandardClient,
  server: oauth.AuthorizationServer,
  method: ClientAuthentication,
): Promise<oauth.ClientAuth> {
  if (method === 'private_key_jwt') return oauth.PrivateKeyJwt(await signingKey(client, server));
  const secret = client.clientSecret?.reveal();
  if (secret === undefined || method === 'none') return oauth.None();
  if (method === 'client_secret_jwt') return oauth.ClientSecretJwt(secret);
  return method === 'client_secret_basic' ? oauth.ClientSecretBasic(secret) : oauth.ClientSecretPost(secret);
}

/** Private key that cannot be used for `private_key_jwt`. */
class UnusableKey extends Error {
  readonly remedy: string;

  constructor(message: string, remedy: string) {
    super(message);
    this.remedy = remedy;
  }
}

/**
 * Reads the client's private key, PEM or JWK, for the algorithm that is set, or that key and
 * provider have in common.
 */
async function signingKey(
  { privateKey, settings, account }: StandardClient,
  server: oauth.AuthorizationServer,
): Promise<oauth.PrivateKey> {
  const remedy = `write the client's key as "private_key" (PKCS #8 PEM, or a JWK) into ${account.file}`;
  if (privateKey === null) throw new UnusableKey('private_key_jwt needs the private key of the client', remedy);
  const jwk = parseJson(privateKey.reveal());
  let key: KeyObject;
  try {
    key = isRecord(jwk) ? createPrivateKey({ key: jwk, format: 'jwk' }) : createPrivateKey(privateKey.reveal());
  } catch {
    throw new UnusableKey('the "private_key" of the client cannot be read', remedy);
  }
  const usable = algorithmsOf(key);
  const published = server.token_endpoint_auth_signing_alg_values_supported;
  const algorithm =
    settings.clientSigningAlgorithm ??
    readString(jwk, 'alg') ??
    usable.find((one) => published?.includes(one) ?? true) ??
    usable[0];
  const parameters = algorithm === undefined ? undefined : IMPORT_PARAMETERS[algorithm];
  if (algorithm === undefined || parameters === undefined || !usable.includes(algorithm)) {
    throw new UnusableKey(
      `the "private_key" of the client cannot sign with ${algorithm ?? 'any known algorithm'}`,
      remedy,
    );
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

function joinScopes(client: StandardClient, scopes: readonly string[]): string {
  return scopes.join(client.settings.scopeSeparator ?? ' ');
}

function pick(params: ExtraParams | undefined, name: string): ExtraParams {
  const value = params?.[name];
  return value === undefined ? {} : { [name]: value };
}

function append(target: URLSearchParams, params: ExtraParams = {}): void {
  for (const [name, value] of Object.entries(params)) {
    for (const one of typeof value === 'string' ? [value] : value) target.append(name, one);
  }
}

/**
 * Returns the library's options for our way of sending. Plain http passes here only because
 * Exchange refuses it for any host but this machine.
 */
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
