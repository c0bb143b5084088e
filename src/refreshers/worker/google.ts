/**
 * OAuth 2 with Google. Owns the google-auth-library package. Has the functions of oauth.ts, for
 * Google's grants.
 *
 * The library repeats failed requests by itself, and keeps the old refresh token when an answer
 * brings a new one. Its errors carry request and answer. So repeats are switched off. Tokens and
 * judgements come from the facts that Exchange kept, never from the library's objects. Assertions
 * of service accounts are signed here, because the library signs them for one token endpoint only.
 */

import { createSign } from 'node:crypto';
import { CodeChallengeMethod, OAuth2Client } from 'google-auth-library';
import { readString } from '../../base/json.ts';
import type { Secret } from '../../base/secret.ts';
import { explainInvalidKey } from '../messages.ts';
import type { OAuthClient, PendingAuthorization } from './client.ts';
import { judgeAnswer, judgeRevocation, type ExchangeAnswer, type Failure, type GrantAnswer } from './token-answer.ts';

/** Lifetime of a service account's assertion, in seconds: the longest that Google accepts. */
const ASSERTION_LIFETIME_S = 3600;

/** Scope of a service account whose file has none: all that the account itself may do. */
const SERVICE_ACCOUNT_SCOPES = ['https://www.googleapis.com/auth/cloud-platform'];

export async function refreshGrant(client: OAuthClient, refreshToken: Secret): Promise<GrantAnswer> {
  const library = createLibraryClient(client);
  library.setCredentials({ refresh_token: refreshToken.reveal() });
  return judgeAnswer(await ask(client, () => library.refreshAccessToken()), client.judging);
}

/**
 * Mints a token for a service account from its key (RFC 7523). The assertion's audience is the
 * file's `token_uri`. A key that cannot sign is refused without asking Google.
 */
export async function ownGrant(client: OAuthClient): Promise<GrantAnswer> {
  const { file, settings, judging } = client;
  const scopes = [file?.scopes, settings.scopes].find((own = []) => own.length > 0) ?? SERVICE_ACCOUNT_SCOPES;
  const endpoint = settings.tokenEndpoint ?? '';
  let assertion: string;
  try {
    assertion = signAssertion(client, endpoint, scopes);
  } catch {
    return { kind: 'rejected', error: 'invalid_key', ...explainInvalidKey() };
  }
  const body = new URLSearchParams({ grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion });
  const facts = await ask(client, () => client.exchange.fetch(endpoint, { method: 'POST', body }));
  const answer = judgeAnswer(facts, judging);
  return answer.kind === 'granted' ? { ...answer, tokens: { ...answer.tokens, scopes } } : answer;
}

function signAssertion(client: OAuthClient, audience: string, scopes: readonly string[]): string {
  const issuedAt = Math.floor(client.clock.now() / 1000);
  const keyId = readString(client.file?.raw, 'private_key_id');
  const header = { alg: 'RS256', typ: 'JWT', kid: keyId };
  const claims = {
    iss: client.clientId,
    scope: scopes.join(' '),
    aud: audience,
    iat: issuedAt,
    exp: issuedAt + ASSERTION_LIFETIME_S,
  };
  const content = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  const signature = createSign('RSA-SHA256')
    .update(content)
    .sign(client.clientSecret?.reveal() ?? '', 'base64url');
  return `${content}.${signature}`;
}

/**
 * Makes the address of Google's consent page; `consent` as prompt and `offline` are what bring a
 * refresh token every time.
 */
export function authorizationUrl(
  client: OAuthClient,
  scopes: readonly string[],
  { redirectUri, state, challenge }: PendingAuthorization,
): { readonly kind: 'url'; readonly url: string } {
  const url = createLibraryClient(client).generateAuthUrl({
    access_type: 'offline',
    prompt: 'consent',
    scope: [...scopes],
    redirect_uri: redirectUri,
    state,
    code_challenge_method: CodeChallengeMethod.S256,
    code_challenge: challenge,
    ...client.settings.authorizationParams,
  });
  return { kind: 'url', url };
}

export async function codeGrant(
  client: OAuthClient,
  { verifier, redirectUri }: PendingAuthorization,
  redirect: URLSearchParams,
): Promise<GrantAnswer> {
  const library = createLibraryClient(client);
  const request = { code: redirect.get('code') ?? '', codeVerifier: verifier.reveal(), redirect_uri: redirectUri };
  return judgeAnswer(await ask(client, () => library.getToken(request)), client.judging);
}

/** Ends a grant at Google; returns null when Google took it. */
export async function revokeGrant(client: OAuthClient, token: Secret): Promise<Failure | null> {
  const library = createLibraryClient(client);
  return judgeRevocation(await ask(client, () => library.revokeToken(token.reveal())), client.judging);
}

async function ask(client: OAuthClient, send: () => Promise<unknown>): Promise<ExchangeAnswer> {
  // A failure of the library is in the facts too.
  await send().catch(() => {});
  return client.exchange.facts;
}

function createLibraryClient({ clientId, clientSecret, settings, exchange }: OAuthClient): OAuth2Client {
  const library = new OAuth2Client({
    clientId,
    ...(clientSecret === null ? {} : { clientSecret: clientSecret.reveal() }),
    endpoints: {
      oauth2TokenUrl: settings.tokenEndpoint ?? '',
      oauth2AuthBaseUrl: settings.authorizationEndpoint ?? '',
      oauth2RevokeUrl: settings.revocationEndpoint ?? '',
    },
    transporterOptions: { fetchImplementation: (input, init) => exchange.fetch(input, init) },
  });
  // Keeps the library from sending a refresh token or a code twice: the second use of one is what
  // providers punish.
  library.transporter.interceptors.request.add({
    resolved: (options) =>
      Promise.resolve(Object.assign(options, { retry: false, retryConfig: { retry: 0, noResponseRetries: 0 } })),
  });
  return library;
}
