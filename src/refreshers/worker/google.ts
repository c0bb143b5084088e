/**
 * OAuth 2 with Google. Owns the google-auth-library package.
 *
 * The library repeats failed requests by itself, and keeps the old refresh token when an answer
 * brings a new one. Its errors carry request and answer. So repeats are switched off. Tokens and
 * judgements come from the facts that Exchange kept, never from the library's objects. Assertions
 * of service accounts are signed here, because the library signs them for one token endpoint only.
 */

import { createSign } from 'node:crypto';
import { CodeChallengeMethod, OAuth2Client } from 'google-auth-library';
import type { Secret } from '../../base/secret.ts';
import { GOOGLE_TOKEN_URL } from '../provider-presets.ts';
import type { GoogleClient } from './client.ts';
import { judgeAnswer, judgeFailure, type Failure, type GrantAnswer } from './token-answer.ts';

/** Lifetime of a service account's assertion, in seconds: the longest that Google accepts. */
const ASSERTION_LIFETIME_S = 3600;

/** Renews an access token. */
export async function refreshGoogle(client: GoogleClient, refreshToken: Secret): Promise<GrantAnswer> {
  const library = createLibraryClient(client);
  library.setCredentials({ refresh_token: refreshToken.reveal() });
  return await attempt(client, () => library.refreshAccessToken());
}

/**
 * Mints a token for a service account from its key (RFC 7523). The assertion's audience is the
 * file's `token_uri`. A key that cannot sign is refused without asking Google.
 */
export async function mintServiceAccountToken(client: GoogleClient, scopes: readonly string[]): Promise<GrantAnswer> {
  const endpoint = client.settings.tokenEndpoint ?? GOOGLE_TOKEN_URL;
  let assertion: string;
  try {
    assertion = signAssertion(client, endpoint, scopes);
  } catch {
    return {
      kind: 'rejected',
      error: 'invalid_key',
      reason: 'the private_key of the service account cannot be used to sign',
      remedy: 'create a new key for it in Google Cloud console and save it in place of this file',
    };
  }
  const body = new URLSearchParams({ grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion });
  return await attempt(client, () => client.exchange.fetch(endpoint, { method: 'POST', body }));
}

function signAssertion(client: GoogleClient, audience: string, scopes: readonly string[]): string {
  const issuedAt = Math.floor(client.now() / 1000);
  const keyId = client.file?.raw['private_key_id'];
  const header = { alg: 'RS256', typ: 'JWT', ...(typeof keyId === 'string' ? { kid: keyId } : {}) };
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
export function googleAuthorizationUrl(
  client: GoogleClient,
  request: {
    readonly scopes: readonly string[];
    readonly redirectUri: string;
    readonly state: string;
    readonly codeChallenge: string;
  },
): URL {
  const url = createLibraryClient(client).generateAuthUrl({
    access_type: 'offline',
    prompt: 'consent',
    scope: [...request.scopes],
    redirect_uri: request.redirectUri,
    state: request.state,
    code_challenge_method: CodeChallengeMethod.S256,
    code_challenge: request.codeChallenge,
    ...client.settings.authorizationParams,
  });
  return new URL(url);
}

/** Exchanges the code that a redirect brought. */
export async function googleCodeGrant(
  client: GoogleClient,
  code: Secret,
  verifier: Secret,
  redirectUri: string,
): Promise<GrantAnswer> {
  const library = createLibraryClient(client);
  return await attempt(client, () =>
    library.getToken({ code: code.reveal(), codeVerifier: verifier.reveal(), redirect_uri: redirectUri }),
  );
}

/** Ends a grant at Google; returns null when Google took it. */
export async function revokeGoogle(client: GoogleClient, token: Secret): Promise<Failure | null> {
  const library = createLibraryClient(client);
  try {
    await library.revokeToken(token.reveal());
    return null;
  } catch {
    return judgeFailure(client.judging, client.exchange.facts);
  }
}

async function attempt(client: GoogleClient, send: () => Promise<unknown>): Promise<GrantAnswer> {
  try {
    await send();
  } catch {
    // Judged by the facts below.
  }
  return judgeAnswer(client.exchange.facts, client.judging);
}

function createLibraryClient(client: GoogleClient): OAuth2Client {
  const { settings } = client;
  const library = new OAuth2Client({
    clientId: client.clientId,
    ...(client.clientSecret === null ? {} : { clientSecret: client.clientSecret.reveal() }),
    endpoints: {
      oauth2TokenUrl: settings.tokenEndpoint ?? GOOGLE_TOKEN_URL,
      ...(settings.authorizationEndpoint === undefined ? {} : { oauth2AuthBaseUrl: settings.authorizationEndpoint }),
      ...(settings.revocationEndpoint === undefined ? {} : { oauth2RevokeUrl: settings.revocationEndpoint }),
    },
    transporterOptions: { fetchImplementation: (input, init) => client.exchange.fetch(input, init) },
  });
  // Keeps the library from sending a refresh token or a code twice: the second use of one is what
  // providers punish.
  library.transporter.interceptors.request.add({
    resolved: (options) =>
      Promise.resolve(Object.assign(options, { retry: false, retryConfig: { retry: 0, noResponseRetries: 0 } })),
  });
  return library;
}
