/**
 * The keys of providers: `aipassd get-key` shows one masked, or prints it; `pool` shows why each
 * is not ready and how much of its limits is left, `pool explain` which one would serve next;
 * `validate` checks them, by their shape or by asking the provider.
 */

import { AipassError } from '../../base/errors.ts';
import type { Aipass } from '../../client/aipass.ts';
import type { AccountStatus } from '../../protocol/oauth.ts';
import type { LimitWindow, PoolExplanation, PoolInfo, PoolKeyInfo, QuotaInfo } from '../../protocol/pool.ts';
import type { KeyVerdict } from '../../protocol/provider.ts';
import { formatCount, formatDuration, formatRelative } from '../format.ts';
import type { Output } from '../output.ts';
import {
  defineVerb,
  flag,
  JSON_FLAG,
  optionalWord,
  ORGANIZATION_OPTION,
  requiredWord,
  textOption,
  type VerbContext,
} from '../verb.ts';

export const getKey = defineVerb({
  name: 'get-key',
  summary: "show a provider's API key, masked; print it with --reveal",
  parameters: {
    provider: optionalWord('the provider; the default one without it', 'providers'),
    reveal: flag('print the key itself on stdout, and nothing else'),
    json: JSON_FLAG,
  },
  async run({ provider: name, reveal, json }, { out, connect }) {
    const aipass = await connect();
    const provider = name ?? (await aipass.request('provider.list', {})).defaultProvider;
    if (reveal) {
      const released = await aipass.request('key.get', { provider });
      if (json) out.json(released);
      else out.line(released.key);
      return;
    }
    const { keys } = await aipass.request('key.list', { provider });
    const [first] = keys;
    if (json) {
      out.json(first);
    } else if (first) {
      out.line(`${first.provider}  ${first.keyId}  ${first.masked}`);
      if (keys.length > 1) out.line(`and ${keys.length - 1} more in its pool: aipassd pool ${first.provider}`);
      if (first.reason !== undefined)
        out.warn(`${first.keyId}: ${first.reason}`, `see: aipassd validate ${first.provider} --online`);
    }
  },
});

/** Shows pools, or has their keys checked. Exits with 2 when a check finds a bad key. */
export const pool = defineVerb({
  name: 'pool',
  summary: 'show the keys of the pools: state, cooldown left, uses, limits',
  parameters: {
    provider: optionalWord('one provider; all without it', 'providers'),
    check: flag('ask the provider about every key first (free of charge)'),
    organization: ORGANIZATION_OPTION,
    json: JSON_FLAG,
  },
  async run({ provider, check, organization, json }, context) {
    if (check) return checkKeys(provider, { organization, json }, context);
    const { out, connect } = context;
    const pools = await (await connect()).pools(provider, { organization });
    if (json) out.json(pools);
    else if (pools.length === 0) printNoKey(out);
    else for (const each of pools) printPool(each, out);
    return 0;
  },
});

/** Explains which key comes next, without a request. Exits with 2 when no key is free. */
export const poolExplain = defineVerb({
  name: 'pool explain',
  summary: 'show which key would serve next, and why each other one would not',
  parameters: {
    provider: requiredWord('the provider', 'providers'),
    model: textOption('M', 'explain for this model', { short: 'm' }),
    organization: ORGANIZATION_OPTION,
    json: JSON_FLAG,
  },
  async run({ provider, model, organization, json }, { out, connect }) {
    const aipass = await connect();
    const explanation = await aipass.explainPool(provider, { organization, model });
    const serves = explanation.next !== null || (explanation.keyless && explanation.retryAfterMs === null);
    if (json) out.json(explanation);
    else printExplanation(explanation, out);
    return serves ? 0 : 2;
  },
});

async function checkKeys(
  provider: string | undefined,
  { organization, json }: { readonly organization: string | undefined; readonly json: boolean },
  context: VerbContext,
): Promise<number> {
  const { out, connect, signal } = context;
  const aipass = await connect();
  const verdicts = await aipass.checkPool(provider, {
    organization,
    signal,
    onProgress: ({ done, total, key }) => {
      if (json) return;
      out.progress(total, total);
      printVerdict(keySubject(key), key, out);
      out.progress(done, total);
    },
  });
  if (json) out.json({ checks: verdicts, pools: await aipass.pools(provider, { organization }) });
  else if (verdicts.length === 0) printNoKey(out);
  return verdicts.some(isBadKey) ? 2 : 0;
}

function printNoKey(out: Output): void {
  out.line('no provider has a key yet');
  out.hint('run: aipassd add <provider>; see: aipassd list-providers');
}

function printExplanation(
  { provider, strategy, next, retryAfterMs, keyless, keys }: PoolExplanation,
  out: Output,
): void {
  const back = retryAfterMs === null ? '' : `, the first is back in ${formatDuration(retryAfterMs)}`;
  if (keyless) {
    const open = retryAfterMs === null ? '' : `; it failed, and is asked again in ${formatDuration(retryAfterMs)}`;
    out.line(`${provider}: needs no key, and calls go without one${open}`);
    return;
  }
  out.line(
    `${provider} (${strategy}): ${next === null ? `no key is free${back}` : `${out.style('green', next)} serves next`}`,
  );
  out.table(
    keys.map((key) => [key.keyId, key.eligible ? 'free' : 'not free', key.why]),
    { indent: 2, wrapLast: true, stack: true },
  );
  if (keys.length === 0) out.hint(`run: aipassd add ${provider}`);
}

function printPool({ provider, strategy, cooldowns, waiting, keys }: PoolInfo, out: Output): void {
  const waits = waiting === 0 ? '' : `, ${waiting} waiting`;
  const failing = cooldowns.map(
    ({ model, until }) =>
      `, ${model === undefined ? '' : `${model} `}cooling down because it failed, ready ${formatRelative(until, Date.now())}`,
  );
  out.line(out.style('bold', `${provider}  (${strategy}${waits}${failing.join('')})`));
  out.table(keys.map(describeRow), { indent: 2, wrapLast: true, stack: true });
}

function describeRow(key: PoolKeyInfo): readonly string[] {
  const account = key.billingAccount === null ? '' : `account ${key.billingAccount}`;
  const left = key.cooldownLeftMs === null ? '' : `${formatDuration(key.cooldownLeftMs)} left`;
  const limits = [...key.quotas.map(formatQuota), ...key.windows.map(formatWindow)];
  const notes = [account, key.reason ?? '', left, ...limits].filter((note) => note !== '');
  return [key.keyId, key.masked, key.state, `${key.inFlight} in flight`, `${key.usesToday} today`, notes.join('; ')];
}

/** Formats a configured quota: what was used, and the limit. */
function formatQuota({ unit, per, limit, used }: QuotaInfo): string {
  return `${unit} ${Math.round(used * 100) / 100}/${limit} per ${per}`;
}

/** Formats what a provider reported of one of its limits. */
function formatWindow({ name, limit, remaining, percent, per }: LimitWindow): string {
  const counts =
    limit === null ? (remaining === null ? null : `${remaining} left`) : `${remaining ?? '?'}/${limit} left`;
  const share = percent === null ? null : `${percent} % used`;
  const parts = [counts, share].filter((part) => part !== null).join(', ');
  return `${name}${parts === '' ? '' : ` ${parts}`}${per === null ? '' : ` per ${per}`}`;
}

/** The word that means an account where there is neither a key nor an account of that name. */
const GOOGLE = 'google';

/** Exits with 2 for what is invalid, suspect, or was asked about without a verdict. */
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
  if (!online) return accounts.map(judgeAccountOffline);
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

function judgeAccountOffline(account: AccountStatus): AccountVerdict {
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

const COLOURS = { valid: 'green', suspect: 'yellow', invalid: 'red', unknown: 'yellow' } as const;

/** Prints one verdict on a key or an account. */
function printVerdict(
  subject: string,
  { verdict, detail }: { readonly verdict: KeyVerdict['verdict']; readonly detail: string },
  out: Output,
): void {
  out.paragraph(`${subject}  ${out.style(COLOURS[verdict], verdict)}: ${detail}`, 2);
}

/** Returns what a verdict on a key is about. */
function keySubject({ provider, keyId, masked }: KeyVerdict): string {
  return `${provider}  ${keyId}  ${masked}`;
}

/** Returns whether a key is refused, suspect, or was asked about without a verdict. */
function isBadKey({ verdict, checked }: KeyVerdict): boolean {
  return verdict === 'invalid' || verdict === 'suspect' || (verdict === 'unknown' && checked === 'online');
}
