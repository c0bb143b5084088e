/**
 * `aipassd status`: the daemon at a glance, with what is wrong and what to do.
 */

import { AipassError } from '../../base/errors.ts';
import type { PoolInfo, PoolKeyInfo } from '../../protocol/pool.ts';
import type { KeyInfo, ProviderInfo } from '../../protocol/provider.ts';
import type { Status } from '../../protocol/status.ts';
import type { UsageStatusReport } from '../../protocol/usage.ts';
import { counted } from '../counted.ts';
import { printDuration } from '../duration.ts';
import type { Output } from '../output.ts';
import { printWindow } from '../window.ts';
import { JSON_OPTION, type Verb, type VerbContext } from '../verb.ts';

/** Shows how the daemon is. */
export const status: Verb = {
  name: 'status',
  usage: '[--json]',
  summary: 'show how the daemon is: version, providers, keys (masked), warnings and what to do',
  options: JSON_OPTION,
  maxPositionals: 0,
  async run(args, { out, connect, paths }) {
    const now = await askStatus(connect, paths.state);
    if (args.flag('json')) {
      out.json(now);
      return 0;
    }
    out.line(
      `${out.style('bold', `aipassd ${now.version}`)}  ${out.style('green', 'running')}  pid ${now.pid}  up ${printDuration(now.uptimeMs)}`,
      `  socket   ${now.socket}`,
      `  secrets  ${now.paths.secrets} (${now.secrets.count} opaque)`,
      `  log      ${now.paths.log ?? 'none'}`,
      `  load     ${counted(now.connections, 'connection')}, ${counted(now.requestsInFlight, 'request')} in flight`,
      `  usage    ${now.usage.kind}, ${printUsageState(now.usage)}`,
      '',
      out.style('bold', 'Providers'),
    );
    for (const provider of now.providers) {
      const pool = now.pools.find((one) => one.provider === provider.name);
      printProvider(provider, pool, now.defaultProvider, out);
    }
    if (now.providers.length === 0) out.line('  none has a key yet');
    if (now.accounts.length > 0) {
      const { printAccounts } = await import('./status-accounts.ts');
      printAccounts(now.accounts, Date.now(), out);
    }
    out.warnings(now.warnings);
    return 0;
  },
};

/** Asks the daemon; where none runs, the error says how the last run ended. */
async function askStatus(connect: VerbContext['connect'], stateFolder: string): Promise<Status> {
  try {
    return await (await connect()).status();
  } catch (error) {
    if (!(error instanceof AipassError) || error.code !== 'DAEMON_UNREACHABLE') throw error;
    const { describeRun, readRunRecord, runRecordPath } = await import('../../service/last-exit.ts');
    const last = readRunRecord(runRecordPath(stateFolder));
    if (last === null) throw error;
    throw new AipassError(error.code, `${error.message}; ${describeRun(last)}`, { hint: error.hint, cause: error });
  }
}

function printProvider(provider: ProviderInfo, pool: PoolInfo | undefined, defaultProvider: string, out: Output): void {
  const isDefault = provider.name === defaultProvider ? '  (default)' : '';
  const without = provider.keys.length === 0 ? '  needs no key' : '';
  out.line(`  ${out.style('cyan', provider.name)}${isDefault}${without}`);
  out.table(
    provider.keys.map((key) => {
      const pooled = pool?.keys.find((one) => one.keyId === key.keyId);
      return [key.keyId, key.masked, describeState(key, pooled), (pooled?.windows ?? []).map(printWindow).join('; ')];
    }),
    '    ',
    160,
  );
}

/** Says how a key is: why the pool does not lend it, or else what is odd about its shape. */
function describeState(key: KeyInfo, pooled: PoolKeyInfo | undefined): string {
  if (pooled && pooled.state !== 'ready') return `${pooled.state}: ${pooled.reason ?? ''}`;
  return key.state + (key.reason === undefined ? '' : `: ${key.reason}`);
}

/** Prints how the recording of usage is. */
function printUsageState({ database, queued, queuedBytes }: UsageStatusReport): string {
  if (database === 'asleep') return 'asleep until something is recorded or asked';
  return queued ? `${database}: events are queued on disk (${queuedBytes} bytes)` : database;
}
