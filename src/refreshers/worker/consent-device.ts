/**
 * Device flow (RFC 8628): the user enters a code on any device, and the provider is asked until it
 * has the answer.
 */

import { AipassError } from '../../base/errors.ts';
import { plainText } from '../../base/plain-text.ts';
import { delay } from '../../base/timeout.ts';
import { forGoogleDevice, type OAuthClient, type WorkerDeps } from './client.ts';
import type { ConsentChannel } from './job.ts';
import type { GrantAnswer } from './token-answer.ts';

/**
 * Seconds that `slow_down` adds to the interval (RFC 8628 §3.5); a failed request is treated the
 * same.
 */
const SLOW_DOWN_S = 5;

/** Longest interval between two requests that a provider may ask for, in seconds. */
const MAX_INTERVAL_S = 60;

/**
 * Asks by device code. @throws AipassError when the provider has no such flow, or the time is over.
 */
export async function consentByDevice(
  client: OAuthClient,
  scopes: readonly string[],
  { clock }: WorkerDeps,
  channel: ConsentChannel,
): Promise<GrantAnswer> {
  const standard = client.kind === 'google' ? forGoogleDevice(client) : client;
  const { beginDevice, deviceGrant } = await import('./oauth.ts');
  const start = await beginDevice(standard, scopes);
  if (start.kind === 'none') {
    throw new AipassError('BAD_REQUEST', `no device flow is known for ${client.account.name}`, {
      hint: 'leave out --device and use --no-browser: it prints an address, and takes the address you end up at',
    });
  }
  if (start.kind !== 'started') return start;
  const expiresAt = clock.now() + start.expiresInS * 1000;
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
  while (clock.now() < expiresAt) {
    if ((await delay(clock, intervalS * 1000, channel.signal)) === 'aborted') throw channel.signal.reason;
    const answer = await deviceGrant(standard, start);
    if (answer.kind === 'transient') intervalS = Math.min(MAX_INTERVAL_S, intervalS + SLOW_DOWN_S);
    else if (answer.kind !== 'rejected' || answer.error !== 'authorization_pending') return answer;
  }
  throw new AipassError('TIMED_OUT', 'the code expired before it was entered', { hint: 'start again' });
}
