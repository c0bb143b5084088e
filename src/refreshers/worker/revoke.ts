/**
 * Ends a grant: at the provider (RFC 7009), then in the account's file. A provider that cannot be
 * reached ends nothing, so that what is deleted here is not left alive there.
 */

import { writeFileAtomic } from '../../base/atomic-write.ts';
import { AipassError } from '../../base/errors.ts';
import { formatAccountFile, lockAccount, withoutTokens } from '../account-file.ts';
import { errorFrom, revocationErrors } from '../messages.ts';
import { openClient, type OAuthClient, type WorkerDeps } from './client.ts';
import type { WorkerJob, WorkerReport } from './job.ts';
import { loadLibrary } from './library.ts';
import type { RevocationAnswer } from './token-answer.ts';

/** Longest wait for a refresh in flight, in milliseconds. */
const LOCK_WAIT_MS = 90_000;

/** Does a revoke job. @throws AipassError with what went wrong and what to do. */
export async function revokeAccount(
  job: Extract<WorkerJob, { kind: 'revoke' }>,
  deps: WorkerDeps,
): Promise<WorkerReport> {
  const { name, file } = job.account;
  try {
    const lock = await lockAccount(file, LOCK_WAIT_MS);
    if (lock === undefined) throw revocationErrors.inRefresh(name);
    try {
      const client = await openClient(job.account, deps);
      if (client.kind === 'unusable') throw errorFrom('BAD_REQUEST', client);
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
  const token = file.refreshToken ?? file.accessToken;
  if (token === null) throw revocationErrors.noToken(account.name);
  const { revokeGrant } = await loadLibrary(client);
  const answer = await revokeGrant(client, token, file.refreshToken === null ? 'access_token' : 'refresh_token');
  const atProvider = isRevoked(client, answer);
  await writeFileAtomic(account.file, formatAccountFile(withoutTokens(file))).catch((error: unknown) => {
    throw (atProvider ? revocationErrors.leftBehind : revocationErrors.unwritable)(account.file, error);
  });
  return atProvider;
}

/** Returns whether the provider ended the grant: also when it does not know it (RFC 7009 §2.2). */
function isRevoked({ account }: OAuthClient, answer: RevocationAnswer): boolean {
  if (answer === null) return true;
  if (answer.kind === 'none') return false;
  if (answer.kind === 'unusable') throw errorFrom('BAD_REQUEST', answer);
  if (answer.kind === 'transient') throw revocationErrors.unreachable(answer.reason, answer.retryAfterMs);
  const { error, description } = answer;
  if (error === 'unsupported_token_type') return false;
  if (error === 'invalid_token' || error === 'invalid_grant') return true;
  throw revocationErrors.rejected({ code: error, description }, account);
}
