/**
 * Ends a grant: at the provider (RFC 7009), then in the account's file. A provider that cannot be reached ends nothing,
 * so that what is deleted here is not left alive there.
 */

import { AipassError } from '../../base/errors.ts';
import { acquireLock, lockPath } from '../account-lock.ts';
import { printDocument, withoutTokens } from '../account-document.ts';
import { writeFileAtomic } from '../../base/atomic-write.ts';
import type { WorkerJob, WorkerReport } from './job.ts';
import type { Failure } from './judge.ts';
import { explainWriteFailure } from './save-tokens.ts';
import { openOauthClient, openTokenClient, type TokenClient, type WorkerTools } from './token-client.ts';

/** Is how long a refresh in flight is waited for, in milliseconds. */
const LOCK_WAIT_MS = 90_000;

/** Does a revoke job. @throws AipassError with what went wrong and what to do. */
export async function revokeAccount(
  job: Extract<WorkerJob, { kind: 'revoke' }>,
  tools: WorkerTools,
): Promise<WorkerReport> {
  const { name, file } = job.account;
  try {
    const lock = await acquireLock(lockPath(file), LOCK_WAIT_MS);
    if (lock === undefined)
      throw new AipassError('TIMED_OUT', `${name} is being refreshed`, { hint: 'try again in a minute' });
    try {
      const token = await openTokenClient(job.account, tools);
      if (token.kind === 'unusable') throw new AipassError('BAD_REQUEST', token.reason, { hint: token.remedy });
      return { kind: 'revoked', atProvider: await revoke(token) };
    } finally {
      await lock.release();
    }
  } catch (error) {
    if (error instanceof AipassError) throw error;
    const { reason, remedy } = explainWriteFailure(file, error);
    throw new AipassError('INTERNAL', reason, { hint: remedy, cause: error });
  }
}

async function revoke(token: TokenClient): Promise<boolean> {
  const { document, account } = token;
  if (document === null) throw new AipassError('NOT_FOUND', `there is no account ${account.name}`);
  if (document.form === 'service-account') {
    throw new AipassError('BAD_REQUEST', `${account.name} is a service account: its tokens end by themselves`, {
      hint: `to end its access, delete the key in Google Cloud console, then ${account.file}`,
    });
  }
  const given = document.refreshToken ?? document.accessToken;
  if (given === null) throw new AipassError('NOT_FOUND', `${account.name} holds no token`);
  const atProvider = await revokeAtProvider(token, document.refreshToken === null ? 'access_token' : 'refresh_token');
  await writeFileAtomic(account.file, printDocument(withoutTokens(document)));
  return atProvider;
}

/** Returns whether the provider ended the grant; false where it has no way to. */
async function revokeAtProvider(token: TokenClient, hint: 'access_token' | 'refresh_token'): Promise<boolean> {
  const given = token.document?.refreshToken ?? token.document?.accessToken;
  if (given === null || given === undefined) return false;
  if (token.google) {
    const { revokeGoogle } = await import('./google-grants.ts');
    return judge(token, await revokeGoogle({ ...token, ...token.client }, given));
  }
  const client = await openOauthClient(token);
  if (client.kind === 'unusable') return false;
  if (client.kind !== 'client') return judge(token, client);
  if (client.server.revocation_endpoint === undefined) return false;
  const { revokeGrant } = await import('./oauth-grants.ts');
  return judge(token, await revokeGrant(client, given, hint));
}

/** A token that the provider does not know is as good as revoked (RFC 7009 §2.2); any other refusal leaves the grant alive, so nothing is deleted. */
function judge({ account }: TokenClient, failure: Failure | null): boolean {
  if (failure === null) return true;
  if (failure.kind === 'transient') {
    throw new AipassError('PROVIDER_UNAVAILABLE', `${failure.reason}; nothing was revoked`, {
      hint: 'try again when the provider can be reached',
      retryAfterMs: failure.retryAfterMs,
    });
  }
  if (failure.error === 'unsupported_token_type') return false;
  if (failure.error === 'invalid_token' || failure.error === 'invalid_grant') return true;
  throw new AipassError('PROVIDER_REJECTED', `the provider refused: ${failure.error}; nothing was revoked`, {
    hint: `check client_id and client_secret, or end the access in your account settings there and delete ${account.file}`,
  });
}
