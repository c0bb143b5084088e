/**
 * Consent to an MCP server: finds its authorization server, and registers a client.
 *
 * Protected resource metadata (RFC 9728), authorization server metadata (RFC 8414), dynamic client
 * registration (RFC 7591). Then authorization code with PKCE and `resource` (RFC 8707), as the
 * Model Context Protocol's authorization has it. What was found is written into the account's file,
 * so that a refresh asks the token endpoint and nobody else.
 */

import { isRecord, readArray, readString, type JsonObject } from '../../base/json.ts';
import { Redactor } from '../../base/redactor.ts';
import { Secret } from '../../base/secret.ts';
import { splitList } from '../../base/split-list.ts';
import type { AccountFile, ClientIdentity } from '../account-file.ts';
import { mcpErrors } from '../messages.ts';
import { CLIENT_AUTHENTICATIONS, isSafeEndpoint, mergeSettings, type ProviderSettings } from '../provider-presets.ts';
import { configuredClient, type OAuthClient, type WorkerDeps } from './client.ts';
import { Exchange } from './exchange.ts';
import type { JobAccount } from './job.ts';
import { discoverIssuer } from './oauth.ts';
import type { ExchangeAnswer } from './token-answer.ts';

/** Request that an MCP client begins with; a server that wants a token answers with 401. */
const INITIALIZE = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'aipassd', version: '1' } },
};

/** What is known of an MCP server's authorization. */
interface Protection {
  /** Identifier of the protected resource, for the parameter `resource`. */
  readonly resource: string;
  readonly issuer: string;
  /** Scopes that the server named. */
  readonly scopes: readonly string[];
}

/** Authorization server, as its metadata describes it. */
interface Authority {
  readonly settings: ProviderSettings;
  readonly registrationEndpoint: string | undefined;
  readonly authMethods: readonly string[] | undefined;
  readonly scopes: readonly string[];
}

/**
 * Plans a consent for the MCP server at an address. Its answer comes to a redirect address that is
 * open already. Finds its authorization server, and registers a client where there is none.
 *
 * @throws AipassError with what went wrong and what to do.
 */
export async function planMcpConsent(
  address: string,
  account: JobAccount,
  file: AccountFile | null,
  asked: readonly string[] | undefined,
  redirectUri: string,
  deps: WorkerDeps,
): Promise<{ readonly client: OAuthClient; readonly scopes: readonly string[]; readonly fields: JsonObject }> {
  const exchange = new Exchange(deps);
  const server = new URL(address);
  const protection = await discoverProtection(server, exchange);
  const authority = await discoverAuthority(protection.issuer, exchange);
  const offline = authority.scopes.filter((scope) => scope === 'offline_access');
  const remembered = file?.requestedScopes ?? [];
  const scopes = asked ?? (remembered.length > 0 ? remembered : [...new Set([...protection.scopes, ...offline])]);
  const own = ownClient(file, account.settings);
  const registered =
    own === undefined ? await register(authority, redirectUri, scopes, exchange, account.name) : undefined;
  const identity = own ?? registered?.identity;
  if (identity === undefined) throw mcpErrors.noRegistration(protection.issuer, account);
  const redactor = new Redactor();
  redactor.learn([identity.clientSecret, identity.privateKey].flatMap((secret) => secret?.reveal() ?? []));
  const client: OAuthClient = {
    kind: 'standard',
    ...identity,
    account,
    file,
    settings: mergeSettings(
      {
        commonParams: { resource: protection.resource },
        clientAuthentication: registered === undefined ? file?.settings.clientAuthentication : registered.method,
      },
      authority.settings,
    ),
    exchange,
    judging: { account: account.name, isConsentable: true, redactor },
    clock: deps.clock,
  };
  return { client, scopes, fields: fieldsOf(server, protection, client, registered !== undefined) };
}

/**
 * Returns the client that the user wrote into the file or the configuration; one that was
 * registered is registered anew.
 */
function ownClient(file: AccountFile | null, settings: ProviderSettings): ClientIdentity | undefined {
  if (file !== null && file.client !== null && file.raw['client_registered'] !== true) return file.client;
  return configuredClient(settings);
}

/** Returns what a refresh needs, so that it discovers nothing. */
function fieldsOf(
  server: URL,
  { resource, issuer }: Protection,
  { settings, clientId, clientSecret }: OAuthClient,
  isRegistered: boolean,
): JsonObject {
  return {
    mcp_server: server.href,
    resource,
    authorization_server: issuer,
    authorization_endpoint: settings.authorizationEndpoint,
    token_endpoint: settings.tokenEndpoint,
    device_authorization_endpoint: settings.deviceEndpoint,
    revocation_endpoint: settings.revocationEndpoint,
    client_id: clientId,
    client_secret: clientSecret?.reveal(),
    token_endpoint_auth_method: settings.clientAuthentication,
    client_registered: isRegistered,
  };
}

/** Asks the server without a token, and reads its metadata (RFC 9728 §3 and §5.1). */
async function discoverProtection(server: URL, exchange: Exchange): Promise<Protection> {
  const challenge = await askForChallenge(server, exchange);
  const announced = absolute(parameterOf(challenge, 'resource_metadata'), server);
  const origin = `${server.origin}/.well-known/oauth-protected-resource`;
  const path = server.pathname === '/' ? '' : server.pathname;
  const places = [...(announced === undefined ? [] : [announced]), `${origin}${path}`, origin];
  const scopes = splitList(parameterOf(challenge, 'scope') ?? '');
  for (const place of new Set(places)) {
    const document = await getDocument(place, exchange);
    if (document === undefined) continue;
    const resource = readString(document, 'resource');
    // Some sites answer every address with a document of theirs.
    if (resource === undefined) continue;
    if (!covers(resource, server)) {
      throw mcpErrors.otherResource(place, resource);
    }
    return {
      resource,
      issuer: texts(document, 'authorization_servers').find(isSafeEndpoint) ?? server.origin,
      scopes: scopes.length > 0 ? scopes : texts(document, 'scopes_supported'),
    };
  }
  if (challenge === undefined) {
    throw mcpErrors.unprotected(server.href);
  }
  // Servers of before RFC 9728 are their own authorization server.
  return { resource: server.href, issuer: server.origin, scopes };
}

/**
 * Sends the first request of an MCP client, and returns the challenge of the answer; undefined
 * where there is none.
 */
async function askForChallenge(server: URL, exchange: Exchange): Promise<string | undefined> {
  let response: Response | undefined;
  try {
    response = await exchange.fetch(server.href, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
      body: JSON.stringify(INITIALIZE),
    });
  } catch {
    const { facts } = exchange;
    throw mcpErrors.noAnswer(facts.kind === 'none' ? facts.reason : undefined);
  }
  if (response.status !== 401) return undefined;
  return response.headers.get('www-authenticate') ?? '';
}

/** Returns a parameter of a WWW-Authenticate header (RFC 9110 §11.2). */
function parameterOf(challenge: string | undefined, name: string): string | undefined {
  const match = new RegExp(`[\\s,]${name}=(?:"((?:[^"\\\\]|\\\\.)*)"|([^\\s,]+))`, 'i').exec(challenge ?? '');
  return match?.[1]?.replace(/\\(.)/g, '$1') ?? match?.[2];
}

/** Returns an address that a server gives, relative to its own where it is not a whole one. */
function absolute(address: string | undefined, server: URL): string | undefined {
  return address !== undefined && URL.canParse(address, server.href) ? new URL(address, server).href : undefined;
}

async function getDocument(address: string, exchange: Exchange): Promise<JsonObject | undefined> {
  if (!isSafeEndpoint(address)) return undefined;
  try {
    await exchange.fetch(address, { headers: { accept: 'application/json' } });
  } catch {
    return undefined;
  }
  const { facts } = exchange;
  return facts.kind === 'answer' && facts.status === 200 && facts.document !== null ? facts.document : undefined;
}

/**
 * Returns whether a resource identifier is that of the server, or of a part of its site that holds
 * it.
 */
function covers(resource: string, server: URL): boolean {
  if (!URL.canParse(resource)) return false;
  const { origin, pathname } = new URL(resource);
  const path = pathname.endsWith('/') ? pathname : `${pathname}/`;
  return origin === server.origin && `${server.pathname}/`.startsWith(path);
}

/**
 * Reads the metadata of an authorization server; one without any has the endpoints of the
 * protocol's first version.
 */
async function discoverAuthority(issuer: string, exchange: Exchange): Promise<Authority> {
  const first = await discoverIssuer(issuer, exchange);
  const other = first.kind === 'none' ? issuerNamedIn(first.facts) : undefined;
  // A document that names another issuer is a pointer to that one, which has to publish the same
  // name itself (RFC 8414 §3.3).
  const found = other === undefined ? first : await discoverIssuer(other, exchange);
  if (found.kind === 'none') return guessAuthority(issuer, other, found.facts);
  const { server } = found;
  if (server.code_challenge_methods_supported?.includes('S256') === false) {
    throw mcpErrors.noPkce(issuer);
  }
  return {
    settings: {
      issuer: server.issuer,
      authorizationEndpoint: server.authorization_endpoint,
      tokenEndpoint: server.token_endpoint,
      deviceEndpoint: server.device_authorization_endpoint,
      revocationEndpoint: server.revocation_endpoint,
    },
    registrationEndpoint: server.registration_endpoint,
    authMethods: server.token_endpoint_auth_methods_supported,
    scopes: server.scopes_supported ?? [],
  };
}

/** Returns the issuer that a metadata document names, or undefined. */
function issuerNamedIn(facts: ExchangeAnswer): string | undefined {
  if (facts.kind !== 'answer' || facts.status !== 200) return undefined;
  const issuer = readString(facts.document, 'issuer');
  return issuer !== undefined && isSafeEndpoint(issuer) ? issuer : undefined;
}

/**
 * Returns the endpoints of an authorization server without metadata; `other` is the issuer that its
 * document names.
 */
function guessAuthority(issuer: string, other: string | undefined, facts: ExchangeAnswer): Authority {
  if (other !== undefined) {
    const why = facts.kind === 'none' ? facts.reason : `${facts.address} answered with status ${facts.status}`;
    throw mcpErrors.silentIssuer(issuer, other, why);
  }
  if (facts.kind === 'none') throw mcpErrors.issuerUnreachable(facts.reason);
  if (facts.status !== 404) {
    throw mcpErrors.noMetadata(issuer, `${facts.address} answered with status ${facts.status}`);
  }
  const { origin } = new URL(issuer);
  return {
    settings: { authorizationEndpoint: `${origin}/authorize`, tokenEndpoint: `${origin}/token` },
    registrationEndpoint: `${origin}/register`,
    authMethods: undefined,
    scopes: [],
  };
}

/**
 * Registers a client for one redirect address (RFC 7591); undefined where the server has no
 * endpoint for that.
 */
async function register(
  { registrationEndpoint, authMethods }: Authority,
  redirectUri: string,
  scopes: readonly string[],
  exchange: Exchange,
  account: string,
): Promise<
  { readonly identity: ClientIdentity; readonly method: ProviderSettings['clientAuthentication'] } | undefined
> {
  if (registrationEndpoint === undefined) return undefined;
  // A program on the user's machine cannot keep a secret from the user: where the server agrees, it
  // has none (RFC 8252 §8.4).
  const wanted = ['none', 'client_secret_post', 'client_secret_basic'].find(
    (one) => authMethods?.includes(one) ?? true,
  );
  const metadata = {
    client_name: 'aipassd',
    redirect_uris: [redirectUri],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: wanted,
    application_type: 'native',
    ...(scopes.length === 0 ? {} : { scope: scopes.join(' ') }),
  };
  const body = JSON.stringify(metadata);
  const headers = { 'content-type': 'application/json', accept: 'application/json' };
  await exchange.fetch(registrationEndpoint, { method: 'POST', headers, body }).catch(() => {});
  const { facts } = exchange;
  const document = facts.kind === 'answer' && isRecord(facts.document) ? facts.document : {};
  const clientId = readString(document, 'client_id');
  if (facts.kind === 'none' || facts.status < 200 || facts.status > 299 || clientId === undefined) {
    const words = readString(document, 'error_description') ?? readString(document, 'error');
    const status = facts.kind === 'none' ? facts.reason : `status ${facts.status}`;
    const shown = words === undefined ? status : `${status}: ${words.slice(0, 300)}`;
    throw mcpErrors.registrationFailed(registrationEndpoint, shown, account);
  }
  const secret = readString(document, 'client_secret');
  const method = readString(document, 'token_endpoint_auth_method') ?? wanted;
  return {
    identity: { clientId, clientSecret: secret === undefined ? null : new Secret(secret), privateKey: null },
    method: CLIENT_AUTHENTICATIONS.find((one) => one === method),
  };
}

function texts(document: JsonObject, name: string): readonly string[] {
  return (readArray(document, name) ?? []).filter((one): one is string => typeof one === 'string' && one !== '');
}
