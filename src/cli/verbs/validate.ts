/**
 * `aipassd validate`: checks a provider's keys, by their shape or by asking the provider, and OAuth
 * accounts of that name, by what is held or, with `--online`, by renewing their tokens.
 */

import { AipassError } from '../../base/errors.ts';
import type { Aipass } from '../../client/aipass.ts';
import type { AccountStatus } from '../../protocol/oauth.ts';
import { flag, JSON_FLAG, optionalWord } from '../options.ts';
import { isBadKey, keySubject, printVerdict } from '../verdict-text.ts';
import { defineVerb } from '../verb.ts';
import { formatCount } from '../format.ts';

/** The word that means an account where there is neither a key nor an account of that name. */
const GOOGLE = 'google';

/**
 * Checks the keys and the accounts of a name; ends with 2 when one is invalid or suspect, or when
 * the provider was asked and gave no verdict.
 */
export const validate = defineVerb({
  name: 'validate',
  summary: "check a provider's keys, and OAuth accounts of that name; with --online, ask the provider",
  details: [
    'Exits with 2 when a key is refused or suspect, when a provider that was asked gave no verdict, and when an account is invalid or unknown.',
    'Exits with 0 for a key that cannot be checked: its provider has no free check, or is unknown.',
  ],
  parameters: {
    provider: optionalWord('a provider or an account; the default provider without it', 'providers'),
    online: flag('ask the provider (free of charge)'),
    json: JSON_FLAG,
  },
  async run({ provider: name, online, json }, { out, paths, connect, signal }) {
    const aipass = await connect();
    const accounts = await accountsOf(aipass, name);
    const hasKeys = name === undefined || (accounts.length === 0 && name !== GOOGLE) || (await hasKeysOf(aipass, name));
    if (accounts.length === 0 && !hasKeys) {
      throw new AipassError('NOT_FOUND', 'there is no Google account yet', {
        hint: 'run: aipassd reauth google --scopes drive.file',
      });
    }
    const judged = accounts.length === 0 ? [] : await judgeAccounts(aipass, accounts, online);
    const keys = hasKeys ? await aipass.validate(name, { online, signal }) : [];
    if (json) out.json([...judged, ...keys]);
    else {
      for (const account of judged) {
        printVerdict(account.name, account, out);
        if (account.action !== null) out.hint(account.action);
      }
      for (const key of keys) printVerdict(keySubject(key), key, out);
      const suspect = keys.find(({ verdict }) => verdict === 'suspect');
      if (suspect !== undefined) {
        out.hint(
          `compare ${suspect.keyId} in ${paths.envFile} with what ${suspect.provider} shows${online ? '' : '; --online asks the provider'}`,
        );
      }
    }
    return judged.some(({ verdict }) => verdict !== 'valid') || keys.some(isBadKey) ? 2 : 0;
  },
});

/** Lists the OAuth accounts that a word means: the one of that name, or all of that provider. */
async function accountsOf(aipass: Aipass, word: string | undefined): Promise<readonly AccountStatus[]> {
  if (word === undefined) return [];
  const { accounts } = await aipass.request('oauth.list', {});
  return accounts.filter(({ name }) => name === word || name.startsWith(`${word}.`));
}

async function hasKeysOf(aipass: Aipass, provider: string): Promise<boolean> {
  const { keys } = await aipass.request('key.list', {});
  return keys.some((key) => key.provider === provider);
}

/** Judgement of one account. */
interface AccountVerdict {
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
