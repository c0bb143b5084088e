/**
 * Consent to an MCP server: finds its authorization server, and registers a client.
 *
 * Protected resource metadata (RFC 9728), authorization server metadata (RFC 8414), dynamic client
 * registration (RFC 7591). Then authorization code with PKCE and `resource` (RFC 8707), as the
 * Model Context Protocol's authorization has it. What was found is written into the account's file,
 * so that a refresh asks the token endpoint and nobody else.
 */

import { readArray, readString, type JsonObject } from '../../base/json.ts';
import { plainText } from '../../base/plain-text.ts';
import { Redactor } from '../../base/redactor.ts';
import { splitList } from '../../base/split-list.ts';
import { parseAccountFile, type AccountFile } from '../account-file.ts';
import { mcpErrors } from '../messages.ts';
import { CLIENT_AUTHENTICATIONS, isSafeEndpoint } from '../provider-presets.ts';
import { configuredClient, type OAuthClient, type WorkerDeps } from './client.ts';
import { Exchange } from './exchange.ts';
import type { JobAccount } from './job.ts';
import { discoverIssuer, type AuthorizationServer } from './oauth.ts';
import type { ExchangeAnswer } from './token-answer.ts';

/** Request that an MCP client begins with; a server that wants a token answers with 401. */
const INITIALIZE = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'aipassd', version: '1' } },
};

/** Stands for the name of an authorization server that publishes nothing. */
const UNPUBLISHED = '';

/** Authorization of an MCP server, as far as it is known. */
interface Protection {
  /** Identifier of the protected resource, for the parameter `resource`. */
  readonly resource: string;
  readonly issuer: string;
  /** Scopes that the server named. */
  readonly scopes: readonly string[];
}

/** Plans a consent whose answer comes to a redirect address that is open already. */
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
  const offline = (authority.scopes_supported ?? []).filter((scope) => scope === 'offline_access');
  const remembered = file?.requestedScopes ?? [];
  const scopes = asked ?? (remembered.length > 0 ? remembered : [...new Set([...protection.scopes, ...offline])]);
  // A client that was registered is registered anew; one that the user wrote into the file or the
  // configuration is used.
  const isOwn = file !== null && file.client !== null && file.raw['client_registered'] !== true;
  const own = (isOwn ? file.client : undefined) ?? configuredClient(account.settings);
  const registration =
    own !== undefined ? {} : await register(authority, redirectUri, scopes, exchange, protection.issuer, account);
  // All that a refresh needs, so that it discovers nothing.
  const fields: JsonObject = {
    mcp_server: server.href,
    resource: protection.resource,
    authorization_server: protection.issuer,
    authorization_endpoint: authority.authorization_endpoint,
    token_endpoint: authority.token_endpoint,
    device_authorization_endpoint: authority.device_authorization_endpoint,
    revocation_endpoint: authority.revocation_endpoint,
    client_id: own?.clientId,
    client_secret: own?.clientSecret?.reveal(),
    token_endpoint_auth_method: file?.settings.clientAuthentication,
    ...registration,
    client_registered: own === undefined,
  };
  const written = parseAccountFile(fields, false);
  const identity = own ?? written.client;
  if (identity === null) throw mcpErrors.noRegistration(protection.issuer, account);
  const redactor = new Redactor();
  redactor.learn([identity.clientSecret, identity.privateKey].flatMap((secret) => secret?.reveal() ?? []));
  const client: OAuthClient = {
    kind: 'standard',
    ...identity,
    account,
    file,
    settings: { ...written.settings, issuer: authority.issuer === UNPUBLISHED ? undefined : authority.issuer },
    clock: deps.clock,
    exchange,
    judging: { account: account.name, isConsentable: true, redactor },
  };
  return { client, scopes, fields };
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
    if (!covers(resource, server)) throw mcpErrors.otherResource(place, resource);
    return {
      resource,
      issuer: texts(document, 'authorization_servers').find(isSafeEndpoint) ?? server.origin,
      scopes: scopes.length > 0 ? scopes : texts(document, 'scopes_supported'),
    };
  }
  if (challenge === undefined) throw mcpErrors.unprotected(server.href);
  // Servers of before RFC 9728 are their own authorization server.
  return { resource: server.href, issuer: server.origin, scopes };
}

/** Sends the first request of an MCP client, and returns the challenge of the answer. */
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

/** Returns whether a resource is the server, or a part of its site that holds it. */
function covers(resource: string, server: URL): boolean {
  if (!URL.canParse(resource)) return false;
  const { origin, pathname } = new URL(resource);
  const path = pathname.endsWith('/') ? pathname : `${pathname}/`;
  return origin === server.origin && `${server.pathname}/`.startsWith(path);
}

/** Reads an authorization server's metadata; without any it has the first version's endpoints. */
async function discoverAuthority(issuer: string, exchange: Exchange): Promise<AuthorizationServer> {
  const first = await discoverIssuer(issuer, exchange);
  const other = first.kind === 'none' ? issuerNamedIn(first.facts) : undefined;
  // A document that names another issuer is a pointer to that one, which has to publish the same
  // name itself (RFC 8414 §3.3).
  const found = other === undefined ? first : await discoverIssuer(other, exchange);
  if (found.kind === 'none') return guessAuthority(issuer, other, found.facts);
  if (found.server.code_challenge_methods_supported?.includes('S256') === false) throw mcpErrors.noPkce(issuer);
  return found.server;
}

/** Returns the issuer that a metadata document names, or undefined. */
function issuerNamedIn(facts: ExchangeAnswer): string | undefined {
  if (facts.kind !== 'answer' || facts.status !== 200) return undefined;
  const issuer = readString(facts.document, 'issuer');
  return issuer !== undefined && isSafeEndpoint(issuer) ? issuer : undefined;
}

/** Returns the endpoints of a server without metadata; `other` is the issuer that it names. */
function guessAuthority(issuer: string, other: string | undefined, facts: ExchangeAnswer): AuthorizationServer {
  if (other !== undefined) {
    const why = facts.kind === 'none' ? facts.reason : `${facts.address} answered with status ${facts.status}`;
    throw mcpErrors.silentIssuer(issuer, other, why);
  }
  if (facts.kind === 'none') throw mcpErrors.issuerUnreachable(facts.reason);
  if (facts.status !== 404) throw mcpErrors.noMetadata(issuer, `${facts.address} answered with status ${facts.status}`);
  const { origin } = new URL(issuer);
  return {
    issuer: UNPUBLISHED,
    authorization_endpoint: `${origin}/authorize`,
    token_endpoint: `${origin}/token`,
    registration_endpoint: `${origin}/register`,
  };
}

/** Registers a client for one redirect address (RFC 7591), and returns the fields of its file. */
async function register(
  { registration_endpoint: endpoint, token_endpoint_auth_methods_supported: methods }: AuthorizationServer,
  redirectUri: string,
  scopes: readonly string[],
  exchange: Exchange,
  issuer: string,
  account: JobAccount,
): Promise<JsonObject> {
  if (endpoint === undefined) throw mcpErrors.noRegistration(issuer, account);
  // A program on the user's machine cannot keep a secret from the user: where the server agrees, it
  // has none (RFC 8252 §8.4).
  const wanted = ['none', 'client_secret_post', 'client_secret_basic'].find((one) => methods?.includes(one) ?? true);
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
  await exchange.fetch(endpoint, { method: 'POST', headers, body }).catch(() => {});
  const { facts } = exchange;
  const document = facts.kind === 'answer' ? facts.document : null;
  const clientId = readString(document, 'client_id');
  if (facts.kind === 'none' || facts.status < 200 || facts.status > 299 || clientId === undefined) {
    const words = readString(document, 'error_description') ?? readString(document, 'error');
    const status = facts.kind === 'none' ? facts.reason : `status ${facts.status}`;
    const shown = words === undefined ? status : `${status}: ${plainText(words, 300)}`;
    throw mcpErrors.registrationFailed(endpoint, shown, account.name);
  }
  const method = readString(document, 'token_endpoint_auth_method') ?? wanted;
  return {
    client_id: clientId,
    client_secret: readString(document, 'client_secret'),
    token_endpoint_auth_method: CLIENT_AUTHENTICATIONS.find((one) => one === method),
  };
}

function texts(document: JsonObject, name: string): readonly string[] {
  return (readArray(document, name) ?? []).filter((one): one is string => typeof one === 'string' && one !== '');
}
