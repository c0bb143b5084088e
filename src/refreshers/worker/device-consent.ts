/**
 * The device flow (RFC 8628): the user enters a code on any device, and we ask the provider until it knows.
 *
 * google-auth-library has no device flow, so Google's goes through the generic client as well.
 */

import { AipassError } from '../../base/errors.ts';
import { plainText } from '../../base/plain-text.ts';
import type { ConsentChannel } from './consent-channel.ts';
import type { GrantAnswer } from './granted.ts';
import type { Unusable } from './judge.ts';
import { openOauthClient, type TokenClient, type WorkerTools } from './token-client.ts';

/** Is what `slow_down` adds to the interval, in seconds (RFC 8628 §3.5); a failed request is treated the same. */
const SLOW_DOWN_S = 5;

/** Bounds what a provider may have us wait between two questions, in seconds. */
const MAX_INTERVAL_S = 60;

/** Is Google's device authorization endpoint (developers.google.com/identity/protocols/oauth2/limited-input-device). */
const GOOGLE_DEVICE_URL = 'https://oauth2.googleapis.com/device/code';
const GOOGLE_TOKEN_URL = 'https://oauth2.googleapis.com/token';

/** Asks by device code. @throws AipassError when the provider has no such flow, or the time is over. */
export async function consentByDevice(
  token: TokenClient,
  scopes: readonly string[],
  tools: WorkerTools,
  channel: ConsentChannel,
): Promise<GrantAnswer | Unusable> {
  const client = await openOauthClient(token.google ? withGoogleEndpoints(token) : token);
  if (client.kind !== 'client') return client;
  if (client.server.device_authorization_endpoint === undefined) {
    throw new AipassError('BAD_REQUEST', `no device flow is known for ${token.account.name}`, {
      hint: 'leave out --device and use --no-browser: it prints an address, and takes the address you end up at',
    });
  }
  const { beginDevice, deviceGrant } = await import('./oauth-grants.ts');
  const start = await beginDevice(client, scopes);
  if ('kind' in start) return start;
  const expiresAt = tools.clock.now() + start.expiresInS * 1000;
  channel.prompt({
    kind: 'device',
    verificationUri: plainText(start.verificationUri, 500),
    ...(start.verificationUriComplete === undefined
      ? {}
      : { verificationUriComplete: plainText(start.verificationUriComplete, 1000) }),
    userCode: plainText(start.userCode, 64),
    expiresAt,
  });
  let intervalS = Math.min(MAX_INTERVAL_S, Math.max(1, start.intervalS));
  while (tools.clock.now() < expiresAt) {
    await wait(tools, intervalS * 1000, channel.signal);
    const answer = await deviceGrant(client, start.deviceCode);
    if (answer.kind === 'transient') intervalS = Math.min(MAX_INTERVAL_S, intervalS + SLOW_DOWN_S);
    else if (answer.kind === 'granted' || answer.error !== 'authorization_pending') return answer;
  }
  throw new AipassError('TIMED_OUT', 'the code expired before it was entered', { hint: 'start again' });
}

function withGoogleEndpoints(token: TokenClient): TokenClient {
  const { settings } = token;
  return {
    ...token,
    settings: {
      ...settings,
      tokenEndpoint: settings.tokenEndpoint ?? GOOGLE_TOKEN_URL,
      deviceEndpoint: settings.deviceEndpoint ?? GOOGLE_DEVICE_URL,
      clientAuthentication: 'client_secret_post',
    },
  };
}

/** Waits on the worker's clock; rejects with the signal's reason. */
function wait(tools: WorkerTools, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (): void => {
      cancel();
      reject(signal.reason);
    };
    const cancel = tools.clock.after(ms, () => {
      signal.removeEventListener('abort', end);
      resolve();
    });
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
  });
}
