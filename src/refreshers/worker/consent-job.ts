/**
 * Has a user consent, in a browser or by device code, and saves what was granted. State, PKCE verifier and device code
 * live here and nowhere else. What was there before stays until the new tokens are on disk.
 */

import { AipassError, type ErrorCode } from '../../base/errors.ts';
import { acquireLock, lockPath } from '../account-lock.ts';
import { emptyDocument, printWithTokens, withoutTokens, type GrantedTokens } from '../account-document.ts';
import { parseAccountName } from '../account-name.ts';
import { writeFileAtomic } from '../../base/atomic-write.ts';
import { expandScopes, missingScopes } from '../scopes.ts';
import { consentByBrowser } from './browser-consent.ts';
import type { ConsentChannel } from './consent-channel.ts';
import { consentByDevice } from './device-consent.ts';
import type { GrantAnswer } from './granted.ts';
import type { WorkerJob, WorkerReport } from './job.ts';
import type { Unusable } from './judge.ts';
import { explainWriteFailure, reserveRoom } from './save-tokens.ts';
import { openTokenClient, type TokenClient, type WorkerTools } from './token-client.ts';

/** Is how long the lock of a refresh in flight is waited for, in milliseconds: longer than one can take, because the user has consented by then. */
const LOCK_WAIT_MS = 5 * 60_000;

/** Does a consent job. @throws AipassError with what went wrong and what to do. */
export async function runConsent(
  job: Extract<WorkerJob, { kind: 'consent' }>,
  tools: WorkerTools,
  channel: ConsentChannel,
): Promise<WorkerReport> {
  const { account, request } = job;
  const token = await openTokenClient(account, tools, true);
  if (token.kind === 'unusable') throw refuse('BAD_REQUEST', token.reason, token.remedy);
  assertConsentable(token);
  const provider = parseAccountName(account.name)?.provider ?? account.name;
  const scopes = expandScopes(provider, chooseScopes(request.scopes, token));
  if (token.google && scopes.length === 0) {
    throw refuse(
      'BAD_REQUEST',
      'no scopes are named, and none are remembered for this account',
      'name them: --scopes drive.file,calendar.readonly',
    );
  }
  await proveWritable(account.file, tools);
  const answer = request.device
    ? await consentByDevice(token, scopes, tools, channel)
    : await consentByBrowser(token, scopes, request.port, channel);
  const tokens = assertGranted(answer);
  await save(token, scopes, tokens, tools);
  const granted = tokens.scopes ?? scopes;
  return {
    kind: 'consented',
    scopes: granted,
    refusedScopes: tokens.scopes === undefined ? [] : missingScopes(provider, tokens.scopes, scopes),
    renewable: tokens.refreshToken !== undefined,
  };
}

/** Proves that the tokens will have a place, before the user is asked for anything. */
async function proveWritable(file: string, tools: WorkerTools): Promise<void> {
  try {
    await (await reserveRoom(file, tools.clock)).release();
  } catch (error) {
    const { reason, remedy } = explainWriteFailure(file, error);
    throw new AipassError('INTERNAL', reason, { hint: `${remedy}, then start again`, cause: error });
  }
}

function assertConsentable(token: TokenClient): void {
  const { name } = token.account;
  if (token.document?.form === 'service-account') {
    throw refuse(
      'BAD_REQUEST',
      `${name} is a service account and needs nobody's consent`,
      `renew its token: aipassd refresh ${name}`,
    );
  }
  if (token.settings.clientCredentials === true) {
    throw refuse(
      'BAD_REQUEST',
      `${name} uses client credentials and needs nobody's consent`,
      `renew its token: aipassd refresh ${name}`,
    );
  }
}

function chooseScopes(asked: readonly string[] | undefined, token: TokenClient): readonly string[] {
  if (asked !== undefined && asked.length > 0) return asked;
  const remembered = token.document?.scopes ?? [];
  return remembered.length > 0 ? remembered : (token.settings.scopes ?? []);
}

/** Returns the tokens of an answer. @throws AipassError for any other answer. */
function assertGranted(answer: GrantAnswer | Unusable): GrantedTokens {
  if (answer.kind === 'granted') return answer.tokens;
  if (answer.kind === 'transient') {
    throw new AipassError('PROVIDER_UNAVAILABLE', answer.reason, {
      hint: 'check the network and start again',
      retryAfterMs: answer.retryAfterMs,
    });
  }
  if (answer.kind === 'unusable') throw refuse('BAD_REQUEST', answer.reason, answer.remedy);
  throw refuse('PROVIDER_REJECTED', `the provider did not grant it: ${answer.error}`, consentRemedy(answer.error));
}

function consentRemedy(error: string): string {
  switch (error) {
    case 'access_denied':
      return 'start again and allow the access; if the provider said no, its console tells why';
    case 'invalid_client':
    case 'unauthorized_client':
      return "check client_id and client_secret, and which flows the client may use, at the provider's console";
    case 'invalid_scope':
      return 'ask for scopes that the client may have: --scopes …';
    default:
      return 'start again';
  }
}

/** Writes what was granted in place of the old tokens, which belong to another grant. */
async function save(
  token: TokenClient,
  asked: readonly string[],
  tokens: GrantedTokens,
  tools: WorkerTools,
): Promise<void> {
  const { file } = token.account;
  const lock = await acquireLock(lockPath(file), LOCK_WAIT_MS).catch((error: unknown) => {
    throw unwritable(file, error);
  });
  if (lock === undefined)
    throw refuse('INTERNAL', 'another process holds this account and does not come to an end', 'start again');
  try {
    // Read again: a refresh may have rewritten the file while the user was busy.
    const current = await openTokenClient(token.account, tools, true);
    const before = current.kind === 'ready' ? current.document : token.document;
    const base = emptyDocument(token.google, token.client, token.settings.tokenEndpoint);
    const kept = before === null ? base : withoutTokens({ ...before, raw: { ...before.raw, ...ownClient(token) } });
    await writeFileAtomic(file, printWithTokens({ ...kept, scopes: asked }, tokens, tools.clock.now()));
  } catch (error) {
    throw unwritable(file, error);
  } finally {
    await lock.release();
  }
}

/** Names the client that the consent was given to, where the file's form needs it. */
function ownClient(token: TokenClient): Readonly<Record<string, string>> {
  if (!token.google) return {};
  return { client_id: token.client.clientId, client_secret: token.client.clientSecret?.reveal() ?? '' };
}

function unwritable(file: string, error: unknown): AipassError {
  if (error instanceof AipassError) return error;
  const { reason, remedy } = explainWriteFailure(file, error);
  return new AipassError('INTERNAL', `the new tokens were granted, but ${reason}`, {
    hint: `${remedy}, then start again`,
    cause: error,
  });
}

function refuse(code: ErrorCode, message: string, hint: string): AipassError {
  return new AipassError(code, message, { hint });
}
