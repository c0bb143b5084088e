/**
 * Why a caller does not get a token, in words that tell what to do.
 */

import { AipassError } from '../base/errors.ts';
import { parseAccountName } from './account-name.ts';
import type { AccountRecord } from './account-record.ts';
import { accountState, whyReauth } from './account-state.ts';
import { reauthArguments } from './remedy.ts';
import { missingScopes } from './scopes.ts';
import type { JobAccount } from './worker/job.ts';

/** Throws AipassError REAUTH_REQUIRED when the account's token lacks a wanted scope: a Drive token is never handed out for Calendar. */
export function assertScopes(account: JobAccount, record: AccountRecord, wanted: readonly string[]): void {
  const { grant, held } = record;
  // A service account's scopes are known once a token was minted.
  if (wanted.length === 0 || grant === null || (grant.kind === 'service-account' && held === null)) return;
  const provider = parseAccountName(account.name)?.provider ?? account.name;
  const scopes = held?.facts.scopes ?? grant.scopes;
  const missing = missingScopes(provider, scopes, wanted);
  if (missing.length === 0) return;
  throw new AipassError('REAUTH_REQUIRED', `the token of ${account.name} lacks ${missing.join(', ')}`, {
    hint:
      grant.kind === 'service-account' || grant.kind === 'client-credentials'
        ? `add them to "scopes" in ${account.file}`
        : `run: aipassd reauth ${reauthArguments(account.name)} --scopes ${[...scopes, ...missing].join(',')}`,
  });
}

/** Says why there is no valid token after all that could be tried was tried. */
export function whyNoToken(name: string, record: AccountRecord): AipassError {
  const { problem, last, remedy, cause, gate } = record;
  if (problem !== null) {
    const message = `the file of ${name} cannot be used: ${problem.subject}: ${problem.problem}`;
    return new AipassError(problem.unsafe ? 'UNSAFE_PERMISSIONS' : 'NOT_FOUND', message, { hint: problem.hint });
  }
  const view = record.view(false);
  if (accountState(view) === 'reauth-required') {
    const why = whyReauth(view);
    return new AipassError('REAUTH_REQUIRED', `${name}: ${why.reason}`, { hint: why.remedy });
  }
  const reason = last?.reason ?? 'its token could not be renewed yet';
  return new AipassError(cause === 'local' ? 'INTERNAL' : 'PROVIDER_UNAVAILABLE', `${name}: ${reason}`, {
    hint: remedy ?? 'it is tried again by itself; aipassd status tells more',
    retryAfterMs: Math.max(1, gate.remaining()),
  });
}
