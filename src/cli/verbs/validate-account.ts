/**
 * `aipassd validate google`: judges OAuth accounts, by what is held or, with `--online`, by renewing their tokens.
 */

import type { Aipass } from '../../client/aipass.ts';
import type { AccountStatus } from '../../protocol/oauth.ts';
import { formatCount } from '../format.ts';

/** Judgement of one account. */
export interface AccountVerdict {
  readonly name: string;
  readonly verdict: 'valid' | 'invalid' | 'unknown';
  readonly detail: string;
  readonly action: string | null;
}

/** Judges every account of a provider. */
export async function judgeAccounts(
  aipass: Aipass,
  accounts: readonly AccountStatus[],
  online: boolean,
): Promise<AccountVerdict[]> {
  if (!online) return accounts.map(judgeOffline);
  const verdicts: AccountVerdict[] = [];
  for (const { name } of accounts) {
    const [result] = (await aipass.request('oauth.refresh', { name })).results;
    const renewed = result?.outcome === 'refreshed' || result?.outcome === 'superseded';
    const verdict =
      renewed || result?.outcome === 'kept' ? 'valid' : result?.outcome === 'transient' ? 'unknown' : 'invalid';
    const detail = renewed ? 'the provider renewed its token' : (result?.reason ?? 'there was no answer');
    verdicts.push({ name, verdict, detail, action: result?.action ?? null });
  }
  return verdicts;
}

function judgeOffline(account: AccountStatus): AccountVerdict {
  const { name, state, action, lastOutcome } = account;
  // An unreachable provider proves nothing about the account.
  const verdict =
    state === 'reauth-required' || state === 'unusable' ? 'invalid' : state === 'failing' ? 'unknown' : 'valid';
  const detail =
    verdict === 'valid'
      ? `${state}, ${formatCount(account.scopes.length, 'scope')}; --online renews its token as a proof`
      : `${state}${lastOutcome?.reason === null || lastOutcome === null ? '' : `: ${lastOutcome.reason}`}`;
  return { name, verdict, detail, action };
}
