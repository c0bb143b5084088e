/**
 * Asks a user for consent, in a browser or by device code, and saves what was granted. State, PKCE
 * verifier and device code live in the worker and nowhere else. What was there before stays until
 * the new tokens are on disk.
 */

import { writeFileAtomic } from '../../base/atomic-write.ts';
import { AipassError, type ErrorCode } from '../../base/errors.ts';
import { emptyAccountFile, formatWithTokens, withoutTokens, type GrantedTokens } from '../account-file.ts';
import { acquireLock, lockPath } from '../account-lock.ts';
import { parseAccountName } from '../account-name.ts';
import { consentRemedy, explainWriteFailure, formatProviderError } from '../messages.ts';
import { expandScopes, missingScopes } from '../scopes.ts';
import { openClient, type OAuthClient, type WorkerDeps } from './client.ts';
import { consentByBrowser } from './consent-browser.ts';
import { consentByDevice } from './consent-device.ts';
import type { ConsentChannel, WorkerJob, WorkerReport } from './job.ts';
import { reserveRoom } from './refresh.ts';
import type { GrantAnswer } from './token-answer.ts';

/**
 * Longest wait for the lock of a refresh in flight, in milliseconds: longer than one can take,
 * because the user has consented by then.
 */
const LOCK_WAIT_MS = 5 * 60_000;

/** Does a consent job. @throws AipassError with what went wrong and what to do. */
export async function runConsent(
  job: Extract<WorkerJob, { kind: 'consent' }>,
  deps: WorkerDeps,
  channel: ConsentChannel,
): Promise<WorkerReport> {
  const { account, request } = job;
  const client = await openClient(account, deps, true);
  if (client.kind === 'unusable') throw refuse('BAD_REQUEST', client.reason, client.remedy);
  assertConsentable(client);
  const provider = parseAccountName(account.name)?.provider ?? account.name;
  const scopes = expandScopes(provider, chooseScopes(request.scopes, client));
  client.judging.sent?.push(...(request.scopes ?? []));
  if (client.kind === 'google' && scopes.length === 0) {
    throw refuse(
      'BAD_REQUEST',
      'no scopes are named, and none are remembered for this account',
      'name them: --scopes drive.file,calendar.readonly',
    );
  }
  await proveWritable(account.file, deps);
  const answer = request.device
    ? await consentByDevice(client, scopes, deps, channel)
    : await consentByBrowser(client, scopes, request.port, channel);
  const tokens = assertGranted(account.name, answer);
  await saveConsent(client, scopes, tokens, deps);
  return {
    kind: 'consented',
    scopes: tokens.scopes ?? scopes,
    refusedScopes: tokens.scopes === undefined ? [] : missingScopes(provider, tokens.scopes, scopes),
    renewable: tokens.refreshToken !== undefined,
  };
}

/** Proves that the tokens will have a place, before the user is asked for anything. */
export async function proveWritable(file: string, deps: WorkerDeps): Promise<void> {
  try {
    await (await reserveRoom(file, deps.clock)).release();
  } catch (error) {
    const { reason, remedy } = explainWriteFailure(file, error);
    throw new AipassError('INTERNAL', reason, { hint: `${remedy}, then start again`, cause: error });
  }
}

function assertConsentable({ account, file, settings }: OAuthClient): void {
  const { name } = account;
  const kind =
    file?.form === 'service-account'
      ? 'is a service account'
      : settings.clientCredentials === true
        ? 'uses client credentials'
        : undefined;
  if (kind === undefined) return;
  throw refuse('BAD_REQUEST', `${name} ${kind} and needs nobody's consent`, `renew its token: aipassd refresh ${name}`);
}

/**
 * Returns the scopes to ask for: those that the user names, else all that were asked for before,
 * else the provider's default.
 */
function chooseScopes(asked: readonly string[] | undefined, { file, settings }: OAuthClient): readonly string[] {
  if (asked !== undefined && asked.length > 0) return asked;
  const remembered = file?.requestedScopes ?? [];
  return remembered.length > 0 ? remembered : (settings.scopes ?? []);
}

/** Returns the tokens of an answer. @throws AipassError for any other answer. */
export function assertGranted(account: string, answer: GrantAnswer): GrantedTokens {
  switch (answer.kind) {
    case 'granted':
      return answer.tokens;
    case 'transient':
      throw new AipassError('PROVIDER_UNAVAILABLE', answer.reason, {
        hint: answer.cause === 'network' ? 'check the network and start again' : 'try again later',
        retryAfterMs: answer.retryAfterMs,
      });
    case 'unusable':
      throw refuse('BAD_REQUEST', answer.reason, answer.remedy);
    case 'unfit':
      throw refuse('PROVIDER_REJECTED', answer.reason, answer.remedy);
    case 'rejected': {
      const error = { code: answer.error, description: answer.description };
      const message = `the provider did not grant it: ${formatProviderError(error)}`;
      throw refuse('PROVIDER_REJECTED', message, consentRemedy(account, error));
    }
  }
}

/** Writes what was granted in place of the old tokens, which belong to another grant. */
export async function saveConsent(
  client: OAuthClient,
  asked: readonly string[],
  tokens: GrantedTokens,
  deps: WorkerDeps,
  fields: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  const { file } = client.account;
  const lock = await acquireLock(lockPath(file), LOCK_WAIT_MS).catch((error: unknown) => {
    throw unwritable(file, error);
  });
  if (lock === undefined)
    throw refuse('INTERNAL', 'another process holds this account and does not finish', 'start again');
  try {
    // Read again: a refresh may have rewritten the file while the user was busy.
    const current = await openClient(client.account, deps, true);
    const before = current.kind === 'unusable' ? client.file : current.file;
    const google = client.kind === 'google';
    const base = before ?? emptyAccountFile(google, client, client.settings.tokenEndpoint);
    const kept = withoutTokens({ ...base, raw: { ...base.raw, ...ownClient(client), ...fields } });
    const text = formatWithTokens({ ...kept, scopes: asked, requestedScopes: asked }, tokens, deps.clock.now());
    await writeFileAtomic(file, text);
  } catch (error) {
    throw unwritable(file, error);
  } finally {
    await lock.release();
  }
}

/**
 * Returns the fields of the client that the consent was given to, where the file's form needs it.
 */
function ownClient(client: OAuthClient): Readonly<Record<string, string>> {
  if (client.kind !== 'google') return {};
  return { client_id: client.clientId, client_secret: client.clientSecret?.reveal() ?? '' };
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
