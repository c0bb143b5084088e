/**
 * Ends a grant: at the provider (RFC 7009), then in the account's file. A provider that cannot be
 * reached ends nothing, so that what is deleted here is not left alive there.
 */

import { writeFileAtomic } from '../../base/atomic-write.ts';
import { AipassError } from '../../base/errors.ts';
import type { Secret } from '../../base/secret.ts';
import { acquireLock, formatAccountFile, lockPath, withoutTokens } from '../account-file.ts';
import { revocationErrors } from '../messages.ts';
import { openClient, type OAuthClient, type WorkerDeps } from './client.ts';
import type { WorkerJob, WorkerReport } from './job.ts';
import type { Failure, Unusable } from './token-answer.ts';

/** Longest wait for a refresh in flight, in milliseconds. */
const LOCK_WAIT_MS = 90_000;

/** Does a revoke job. @throws AipassError with what went wrong and what to do. */
export async function revokeAccount(
  job: Extract<WorkerJob, { kind: 'revoke' }>,
  deps: WorkerDeps,
): Promise<WorkerReport> {
  const { name, file } = job.account;
  try {
    const lock = await acquireLock(lockPath(file), LOCK_WAIT_MS);
    if (lock === undefined) throw revocationErrors.inRefresh(name);
    try {
      const client = await openClient(job.account, deps);
      if (client.kind === 'unusable') throw new AipassError('BAD_REQUEST', client.reason, { hint: client.remedy });
      return { kind: 'revoked', atProvider: await revoke(client) };
    } finally {
      await lock.release();
    }
  } catch (error) {
    throw error instanceof AipassError ? error : revocationErrors.unwritable(file, error);
  }
}

async function revoke(client: OAuthClient): Promise<boolean> {
  const { file, account } = client;
  if (file === null) throw revocationErrors.noAccount(account.name);
  if (file.form === 'service-account') throw revocationErrors.serviceAccount(account);
  const { refreshToken, accessToken } = file;
  const given = refreshToken ?? accessToken;
  if (given === null) throw revocationErrors.noToken(account.name);
  const atProvider = await revokeAtProvider(client, given, refreshToken === null ? 'access_token' : 'refresh_token');
  await writeFileAtomic(account.file, formatAccountFile(withoutTokens(file)));
  return atProvider;
}

/** Returns whether the provider ended the grant; false where it has no way to. */
async function revokeAtProvider(
  client: OAuthClient,
  token: Secret,
  hint: 'access_token' | 'refresh_token',
): Promise<boolean> {
  if (client.kind === 'google') {
    const { revokeGoogle } = await import('./google.ts');
    return assertRevoked(client, await revokeGoogle(client, token));
  }
  const { revokeGrant } = await import('./oauth.ts');
  const failure = await revokeGrant(client, token, hint);
  return failure?.kind === 'none' ? false : assertRevoked(client, failure);
}

/**
 * A token that the provider does not know is as good as revoked (RFC 7009 §2.2). Any other refusal
 * leaves the grant alive, so nothing is deleted.
 */
function assertRevoked({ account }: OAuthClient, failure: Failure | Unusable | null): boolean {
  if (failure === null) return true;
  if (failure.kind === 'unusable') throw new AipassError('BAD_REQUEST', failure.reason, { hint: failure.remedy });
  if (failure.kind === 'transient') throw revocationErrors.unreachable(failure.reason, failure.retryAfterMs);
  const { error, description } = failure;
  if (error === 'unsupported_token_type') return false;
  if (error === 'invalid_token' || error === 'invalid_grant') return true;
  throw revocationErrors.rejected({ code: error, description }, account);
}
