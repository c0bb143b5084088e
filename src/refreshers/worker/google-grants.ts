/**
 * OAuth 2 with Google. Owns the google-auth-library package.
 *
 * The library repeats failed requests by itself, keeps the old refresh token when an answer brings a new one, and its
 * errors carry request and answer: repeats are switched off, and tokens and verdicts come from the facts that
 * ExchangeFetch kept, never from the library's objects.
 */

import { CodeChallengeMethod, JWT, OAuth2Client } from 'google-auth-library';
import type { Secret } from '../../base/secret.ts';
import type { ProviderSettings } from '../provider-settings.ts';
import type { ExchangeFetch } from './exchange-fetch.ts';
import { grantAnswer, type GrantAnswer } from './granted.ts';
import { judgeFailure, type Failure, type Judging } from './judge.ts';

/** Is the token endpoint that google-auth-library has built in for service accounts, and the default for all. */
const GOOGLE_TOKEN_URL = 'https://oauth2.googleapis.com/token';

/** Is one client at Google, ready to be talked to. */
export interface GoogleClient {
  readonly clientId: string;
  readonly clientSecret: Secret | null;
  readonly settings: ProviderSettings;
  readonly exchange: ExchangeFetch;
  readonly judging: Judging;
}

/** Renews an access token. */
export async function refreshGoogle(client: GoogleClient, refreshToken: Secret): Promise<GrantAnswer> {
  const library = createLibraryClient(client);
  library.setCredentials({ refresh_token: refreshToken.reveal() });
  return await attempt(client, () => library.refreshAccessToken());
}

/** Mints a token for a service account from its key (RFC 7523). A key that cannot sign is refused without asking Google. */
export async function mintServiceAccountToken(client: GoogleClient, scopes: readonly string[]): Promise<GrantAnswer> {
  const library = new JWT({
    email: client.clientId,
    key: client.clientSecret?.reveal() ?? '',
    scopes: [...scopes],
    transporterOptions: { fetchImplementation: (input, init) => client.exchange.fetch(retarget(client, input), init) },
  });
  forbidRepeats(library);
  const before = client.exchange.facts;
  const answer = await attempt(client, () => library.authorize());
  if (client.exchange.facts !== before) return answer;
  return {
    kind: 'rejected',
    error: 'invalid_key',
    reason: 'the private_key of the service account cannot be used to sign',
    remedy: 'create a new key for it in Google Cloud console and save it in place of this file',
  };
}

/** Makes the address of Google's consent page; `consent` as prompt and `offline` are what bring a refresh token every time. */
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
  return grantAnswer(client.exchange.facts, client.judging);
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
  forbidRepeats(library);
  return library;
}

/** Keeps the library from sending a refresh token or a code twice: the second use of one is what providers punish. */
function forbidRepeats(library: OAuth2Client): void {
  library.transporter.interceptors.request.add({
    resolved: (options) =>
      Promise.resolve(Object.assign(options, { retry: false, retryConfig: { retry: 0, noResponseRetries: 0 } })),
  });
}

/** Sends a service account's request where its file says; the library knows one address only. */
function retarget(client: GoogleClient, input: string | URL | Request): string | URL | Request {
  const { tokenEndpoint } = client.settings;
  const url = input instanceof Request ? input.url : String(input);
  return tokenEndpoint !== undefined && url === GOOGLE_TOKEN_URL ? tokenEndpoint : input;
}
