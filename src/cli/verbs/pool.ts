/**
 * `aipassd pool`: the keys of the pools, why each is not ready, and how much of its limits is left.
 * `pool explain` shows which key would serve next.
 */

import type { LimitWindow, PoolExplanation, PoolInfo, PoolKeyInfo, QuotaInfo } from '../../protocol/pool.ts';
import { ORGANIZATION_OPTION } from '../credential-text.ts';
import { formatDuration, formatRelative } from '../format.ts';
import { flag, JSON_FLAG, requiredWord, textOption, optionalWord } from '../options.ts';
import type { Output } from '../output.ts';
import { isBadKey, keySubject, printVerdict } from '../verdict-text.ts';
import { defineVerb, type VerbContext } from '../verb.ts';

/** Shows pools, or has their keys checked. Ends with 2 when a check finds a bad key. */
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
    else if (pools.length === 0) {
      out.line('no provider has a key yet');
      out.hint('run: aipassd add <provider>; see: aipassd list-providers');
    } else for (const each of pools) printPool(each, out);
    return 0;
  },
});

/** Explains which key comes next; calls nobody. Ends with 2 when no key is free. */
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
    const explanation = await aipass.explainPool(provider, {
      organization,
      ...(model === undefined ? {} : { model }),
    });
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
  return verdicts.some(isBadKey) ? 2 : 0;
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

/** Formats a configured quota: what was counted of it. */
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
