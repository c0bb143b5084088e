/**
 * The authorization code flow with PKCE (RFC 6749 §4.1, RFC 7636, RFC 8252): the browser comes back to a port of this
 * machine, or, where browser and machine are apart, the user pastes the address it was sent to.
 */

import { AipassError } from '../../base/errors.ts';
import type { Secret } from '../../base/secret.ts';
import { isLoopbackHost, isSafeEndpoint } from '../parse-settings.ts';
import type { ConsentChannel } from './consent-channel.ts';
import type { GrantAnswer } from './granted.ts';
import type { Failure, Unusable } from './judge.ts';
import { openLoopback, type Loopback } from './loopback.ts';
import {
  createPending,
  judgeRedirect,
  parsePastedRedirect,
  type PendingAuthorization,
} from './pending-authorization.ts';
import { openOauthClient, type TokenClient } from './token-client.ts';

/** Is the path of the redirect address, where the provider insists on none. */
const REDIRECT_PATH = '/callback';

/** Asks in a browser. @throws AipassError when the user says no, the redirect is not ours, or the time is over. */
export async function consentByBrowser(
  token: TokenClient,
  scopes: readonly string[],
  port: number,
  channel: ConsentChannel,
): Promise<GrantAnswer | Unusable> {
  const fixed = token.settings.redirectUri === undefined ? undefined : parseRedirectUri(token.settings.redirectUri);
  const listens = fixed === undefined || (fixed.protocol === 'http:' && isLoopbackHost(fixed.hostname));
  const path = fixed?.pathname ?? REDIRECT_PATH;
  let pending: PendingAuthorization | undefined;
  const sentence = (params: URLSearchParams): string => {
    const verdict = pending === undefined ? undefined : judgeRedirect(pending, params);
    return verdict?.kind === 'code'
      ? 'Received. You can close this window and go back to the terminal.'
      : 'This is not the answer that was waited for. Go back to the terminal, it has the details.';
  };
  const loopback = listens
    ? await listen(fixed === undefined || port !== 0 ? port : Number(fixed.port), path, sentence)
    : undefined;
  try {
    const redirectUri = redirectAddress(fixed, loopback, path);
    pending = createPending(redirectUri);
    const flow = await openFlow(token, scopes, pending);
    if (flow.kind !== 'flow') return flow;
    channel.prompt({ kind: 'browser', url: flow.url.href, redirectUri, listening: loopback !== undefined });
    const params = await awaitRedirect(pending, loopback, channel);
    const verdict = judgeRedirect(pending, params);
    if (verdict.kind === 'code') return await flow.exchange(verdict);
    if (verdict.kind === 'denied') return { kind: 'rejected', error: verdict.error, reason: verdict.error, remedy: '' };
    throw new AipassError('BAD_REQUEST', 'the redirect does not belong to this consent (wrong state)', {
      hint: 'start again, and use the newest address only; if you opened none, somebody else may have tried',
    });
  } finally {
    loopback?.close();
  }
}

interface Flow {
  readonly kind: 'flow';
  readonly url: URL;
  exchange(redirect: { readonly code: Secret; readonly params: URLSearchParams }): Promise<GrantAnswer>;
}

async function openFlow(
  token: TokenClient,
  scopes: readonly string[],
  pending: PendingAuthorization,
): Promise<Flow | Failure | Unusable> {
  if (token.google) {
    const { googleAuthorizationUrl, googleCodeGrant } = await import('./google-grants.ts');
    const client = { ...token, ...token.client };
    const { redirectUri, state, challenge, verifier } = pending;
    return {
      kind: 'flow',
      url: googleAuthorizationUrl(client, { scopes, redirectUri, state, codeChallenge: challenge }),
      exchange: ({ code }) => googleCodeGrant(client, code, verifier, redirectUri),
    };
  }
  const client = await openOauthClient(token);
  if (client.kind !== 'client') return client;
  // The browser is sent there: not to a program or a file of this machine.
  if (!isSafeEndpoint(client.server.authorization_endpoint ?? '')) {
    throw new AipassError('BAD_REQUEST', `no authorization endpoint with https is known for ${token.account.name}`, {
      hint: `write "issuer", or "authorization_endpoint" and "token_endpoint", into ${token.account.file}`,
    });
  }
  const { authorizationUrl, codeGrant } = await import('./oauth-grants.ts');
  return {
    kind: 'flow',
    url: authorizationUrl(client, scopes, pending),
    exchange: ({ params }) => codeGrant(client, pending, params),
  };
}

async function awaitRedirect(
  pending: PendingAuthorization,
  loopback: Loopback | undefined,
  channel: ConsentChannel,
): Promise<URLSearchParams> {
  const { promise, resolve, reject } = Promise.withResolvers<URLSearchParams>();
  const end = (): void => reject(channel.signal.reason);
  if (channel.signal.aborted) end();
  channel.signal.addEventListener('abort', end, { once: true });
  channel.onPasted((address) => {
    const params = parsePastedRedirect(pending, address);
    if (params !== undefined) resolve(params);
    else {
      reject(
        new AipassError(
          'BAD_REQUEST',
          `the pasted address is not the one that the browser was sent to (${pending.redirectUri}…)`,
          {
            hint: 'start again, and paste the whole address from the address bar after you have consented',
          },
        ),
      );
    }
  });
  void loopback?.redirect.then(resolve);
  try {
    return await promise;
  } finally {
    channel.signal.removeEventListener('abort', end);
  }
}

async function listen(port: number, path: string, sentence: (params: URLSearchParams) => string): Promise<Loopback> {
  try {
    return await openLoopback({ port, path, sentence });
  } catch (error) {
    throw new AipassError('BAD_REQUEST', `port ${port} of 127.0.0.1 cannot be listened on`, {
      hint: 'name another: --port 8123 (0 takes any free one)',
      cause: error,
    });
  }
}

function redirectAddress(fixed: URL | undefined, loopback: Loopback | undefined, path: string): string {
  if (fixed === undefined) return `http://127.0.0.1:${loopback?.port ?? 0}${path}`;
  if (loopback === undefined) return fixed.href;
  return `http://${fixed.hostname}:${loopback.port}${path}`;
}

function parseRedirectUri(text: string): URL {
  if (URL.canParse(text)) return new URL(text);
  throw new AipassError('BAD_REQUEST', '"redirect_uri" is no address', {
    hint: 'write the address that is registered for the client, such as http://127.0.0.1:8123/callback',
  });
}
