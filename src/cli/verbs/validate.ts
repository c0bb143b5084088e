/**
 * `aipassd validate`: judges a provider's keys, by their shape or by the provider's word, and the OAuth accounts of that name.
 */

import { AipassError } from '../../base/errors.ts';
import type { Aipass } from '../../client/aipass.ts';
import type { AccountStatus } from '../../protocol/oauth.ts';
import type { KeyVerdict } from '../../protocol/provider.ts';
import type { Output } from '../output.ts';
import { JSON_OPTION, type Verb } from '../verb.ts';
import { judgeAccounts, printVerdicts } from './validate-account.ts';

/** Is the word that people mean an account by where there is neither a key nor an account of that name. */
const GOOGLE = 'google';

/** Judges the keys and the accounts of a name; ends with 2 when one is invalid, or when the provider was asked and gave no verdict. */
export const validate: Verb = {
  name: 'validate',
  usage: '[provider|account] [--online] [--json]',
  summary: "judge a provider's keys, and OAuth accounts of that name; with --online, ask the provider",
  details: ['--online  ask the provider (free of charge)', '--json    print a document'],
  options: { ...JSON_OPTION, online: { type: 'boolean' } },
  maxPositionals: 1,
  async run(args, { out, connect, signal }) {
    const aipass = await connect();
    const [word] = args.positionals;
    const accounts = await accountsOf(aipass, word);
    const hasKeys = word === undefined || (accounts.length === 0 && word !== GOOGLE) || (await hasKeysOf(aipass, word));
    if (accounts.length === 0 && !hasKeys) {
      throw new AipassError('NOT_FOUND', 'there is no Google account yet', {
        hint: 'run: aipassd reauth google --scopes drive.file',
      });
    }
    const online = args.flag('online');
    const judged = accounts.length === 0 ? [] : await judgeAccounts(aipass, accounts, online);
    const keys = hasKeys ? await aipass.validate(word, { online, signal }) : [];
    if (args.flag('json')) out.json([...judged, ...keys]);
    else {
      printVerdicts(judged, out);
      printKeys(keys, out);
    }
    return judged.some(({ verdict }) => verdict !== 'valid') || keys.some(isBad) ? 2 : 0;
  },
};

/** Tells whether a provider said no, or was asked and said nothing. */
function isBad({ verdict, checked }: KeyVerdict): boolean {
  return verdict === 'invalid' || (verdict === 'unknown' && checked === 'online');
}

function printKeys(keys: readonly KeyVerdict[], out: Output): void {
  const colours = { valid: 'green', suspect: 'yellow', invalid: 'red', unknown: 'yellow' } as const;
  for (const { provider, keyId, masked, verdict, detail } of keys) {
    out.line(`${provider}  ${keyId}  ${masked}  ${out.style(colours[verdict], verdict)}: ${detail}`);
  }
}

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
