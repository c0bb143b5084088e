/**
 * `aipassd pool`: the keys of the pools, why each rests, and how much of its limits is left; `pool explain` says which
 * key would serve next.
 */

import type { PoolExplanation, PoolInfo, PoolKeyInfo, QuotaInfo } from '../../protocol/pool.ts';
import { printDuration } from '../duration.ts';
import type { Output } from '../output.ts';
import { UsageError } from '../usage-error.ts';
import { printWindow } from '../window.ts';
import { JSON_OPTION, type Arguments, type Verb, type VerbContext } from '../verb.ts';

const USAGE = '[provider] [--check] [--json] | explain <provider> [--model M] [--json]';

/** Shows pools, has their keys checked, or explains which key comes next. Ends with 2 when a check finds a bad key, or no key is free. */
export const pool: Verb = {
  name: 'pool',
  usage: USAGE,
  summary: 'show the keys of the pools: state, rest left, uses, limits; "pool explain" says which one serves next',
  details: [
    '--check            ask the provider about every key first (free of charge)',
    'explain <provider> which key would serve next, and why each other one would not; calls nobody',
    '--model M          explain for this model',
    '--json             print a document',
  ],
  options: { ...JSON_OPTION, check: { type: 'boolean' }, model: { type: 'string', short: 'm' } },
  maxPositionals: 2,
  run(args, context) {
    const [first, second] = args.positionals;
    if (first === 'explain') return explain(second, args, context);
    if (second !== undefined) throw new UsageError('one provider at a time', `usage: aipassd pool ${USAGE}`);
    if (args.text('model') !== undefined)
      throw new UsageError('--model goes with "pool explain"', `usage: aipassd pool ${USAGE}`);
    return args.flag('check') ? check(first, args, context) : show(first, args, context);
  },
};

async function show(provider: string | undefined, args: Arguments, { out, connect }: VerbContext): Promise<number> {
  const pools = await (await connect()).pools(provider);
  if (args.flag('json')) out.json(pools);
  else if (pools.length === 0) out.line('no provider has a key yet');
  else for (const each of pools) printPool(each, out);
  return 0;
}

async function check(provider: string | undefined, args: Arguments, context: VerbContext): Promise<number> {
  const { out, connect, signal } = context;
  const aipass = await connect();
  const isJson = args.flag('json');
  const colours = { valid: 'green', suspect: 'yellow', invalid: 'red', unknown: 'yellow' } as const;
  const verdicts = await aipass.checkPool(provider, {
    signal,
    onProgress: ({ done, total, key }) => {
      if (isJson) return;
      out.progress(total, total);
      out.line(
        `${key.provider}  ${key.keyId}  ${key.masked}  ${out.style(colours[key.verdict], key.verdict)}: ${key.detail}`,
      );
      out.progress(done, total);
    },
  });
  if (isJson) out.json({ checks: verdicts, pools: await aipass.pools(provider) });
  return verdicts.some((key) => key.verdict === 'invalid' || (key.verdict === 'unknown' && key.checked === 'online'))
    ? 2
    : 0;
}

async function explain(provider: string | undefined, args: Arguments, { out, connect }: VerbContext): Promise<number> {
  if (provider === undefined)
    throw new UsageError('explain needs a provider', 'usage: aipassd pool explain <provider> [--model M]');
  const model = args.text('model');
  const aipass = await connect();
  const explanation = await aipass.explainPool(provider, model === undefined ? {} : { model });
  const serves = explanation.next !== null || (explanation.keyless && explanation.retryAfterMs === null);
  if (args.flag('json')) out.json(explanation);
  else printExplanation(explanation, out);
  return serves ? 0 : 2;
}

function printExplanation(
  { provider, strategy, next, retryAfterMs, keyless, keys }: PoolExplanation,
  out: Output,
): void {
  const back = retryAfterMs === null ? '' : `, the first is back in ${printDuration(retryAfterMs)}`;
  if (keyless) {
    const rests =
      retryAfterMs === null ? '' : `, but is left alone for ${printDuration(retryAfterMs)}, because it failed`;
    out.line(`${provider}: needs no key, and calls go without one${rests}`);
    return;
  }
  out.line(
    `${provider} (${strategy}): ${next === null ? `no key is free${back}` : `${out.style('green', next)} serves next`}`,
  );
  out.table(
    keys.map((key) => [key.keyId, key.eligible ? 'free' : 'out', key.why]),
    '  ',
    200,
  );
}

function printPool({ provider, strategy, rest, waiting, keys }: PoolInfo, out: Output): void {
  const waits = waiting === 0 ? '' : `, ${waiting} waiting`;
  const resting = rest === null ? '' : `, left alone until ${new Date(rest.until).toISOString()} because it failed`;
  out.line(out.style('bold', `${provider}  (${strategy}${waits}${resting})`));
  out.table(keys.map(describeRow), '  ', 160);
}

function describeRow(key: PoolKeyInfo): readonly string[] {
  const account = key.account === null ? '' : `account ${key.account}`;
  const left = key.restLeftMs === null ? '' : `${printDuration(key.restLeftMs)} left`;
  const limits = [...key.quotas.map(printQuota), ...key.windows.map(printWindow)];
  const notes = [account, key.reason ?? '', left, ...limits].filter((note) => note !== '');
  return [key.keyId, key.masked, key.state, `${key.inFlight} in flight`, `${key.usesToday} today`, notes.join('; ')];
}

/** Prints a configured quota: what was counted of it. */
function printQuota({ unit, per, limit, used }: QuotaInfo): string {
  return `${unit} ${Math.round(used * 100) / 100}/${limit} per ${per}`;
}
