/**
 * `aipassd validate`: judges a provider's keys, by their shape or by the provider's word.
 */

import { AipassError } from '../../base/errors.ts';
import type { Aipass } from '../../client/aipass.ts';
import type { AccountStatus } from '../../protocol/oauth.ts';
import { JSON_OPTION, type Verb } from '../verb.ts';
import { judgeAccounts, printVerdicts } from './validate-account.ts';

/** Is the word that means accounts first, and the keys of the provider of that name where there is no account. */
const GOOGLE = 'google';

/** Judges keys; ends with 2 when one is invalid, or when the provider was asked and gave no verdict. */
export const validate: Verb = {
  name: 'validate',
  usage: '[provider|account] [--online] [--json]',
  summary: "judge a provider's keys, or an OAuth account; with --online, ask the provider",
  details: ['--online  ask the provider (free of charge)', '--json    print a document'],
  options: { ...JSON_OPTION, online: { type: 'boolean' } },
  maxPositionals: 1,
  async run(args, { out, connect, signal }) {
    const aipass = await connect();
    const [word] = args.positionals;
    const accounts = await accountsOf(aipass, word);
    if (accounts.length > 0) {
      const verdicts = await judgeAccounts(aipass, accounts, args.flag('online'));
      if (args.flag('json')) out.json(verdicts);
      else printVerdicts(verdicts, out);
      return verdicts.every((one) => one.verdict === 'valid') ? 0 : 2;
    }
    if (word === GOOGLE && (await hasNoKeys(aipass))) {
      throw new AipassError('NOT_FOUND', 'there is no Google account yet', {
        hint: 'run: aipassd reauth google --scopes drive.file',
      });
    }
    const keys = await aipass.validate(args.positionals[0], { online: args.flag('online'), signal });
    if (args.flag('json')) out.json(keys);
    else {
      const colours = { valid: 'green', suspect: 'yellow', invalid: 'red', unknown: 'yellow' } as const;
      for (const key of keys) {
        out.line(
          `${key.provider}  ${key.keyId}  ${key.masked}  ${out.style(colours[key.verdict], key.verdict)}: ${key.detail}`,
        );
      }
    }
    return keys.some((key) => key.verdict === 'invalid' || (key.verdict === 'unknown' && key.checked === 'online'))
      ? 2
      : 0;
  },
};

/** Lists the OAuth accounts that a word means: the one of that name, or all of that provider. */
async function accountsOf(aipass: Aipass, word: string | undefined): Promise<readonly AccountStatus[]> {
  if (word === undefined) return [];
  const { accounts } = await aipass.request('oauth.list', {});
  return accounts.filter(({ name }) => name === word || name.startsWith(`${word}.`));
}

async function hasNoKeys(aipass: Aipass): Promise<boolean> {
  const { keys } = await aipass.request('key.list', {});
  return keys.every(({ provider }) => provider !== GOOGLE);
}
