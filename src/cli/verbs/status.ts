/**
 * `aipassd status`: the daemon at a glance, with what is wrong and what to do.
 */

import type { ProviderInfo } from '../../protocol/provider.ts';
import type { UsageStatusReport } from '../../protocol/usage.ts';
import type { Output } from '../output.ts';
import { JSON_OPTION, type Verb } from '../verb.ts';

/** Shows how the daemon is. */
export const status: Verb = {
  name: 'status',
  usage: '[--json]',
  summary: 'show how the daemon is: version, providers, keys (masked), warnings and what to do',
  options: JSON_OPTION,
  maxPositionals: 0,
  async run(args, { out, connect }) {
    const aipass = await connect();
    const now = await aipass.status();
    if (args.flag('json')) {
      out.json(now);
      return 0;
    }
    out.line(
      `${out.style('bold', `aipassd ${now.version}`)}  ${out.style('green', 'running')}  pid ${now.pid}  up ${printDuration(now.uptimeMs)}`,
      `  socket   ${now.socket}`,
      `  secrets  ${now.paths.secrets} (${now.secrets.count} opaque)`,
      `  log      ${now.paths.log ?? 'none'}`,
      `  load     ${now.connections} connections, ${now.requestsInFlight} requests in flight`,
      `  usage    ${now.usage.kind}, ${printUsageState(now.usage)}`,
      '',
      out.style('bold', 'Providers'),
    );
    for (const provider of now.providers) printProvider(provider, now.defaultProvider, out);
    if (now.providers.length === 0) out.line('  none has a key yet');
    out.warnings(now.warnings);
    return 0;
  },
};

function printProvider(provider: ProviderInfo, defaultProvider: string, out: Output): void {
  const isDefault = provider.name === defaultProvider ? '  (default)' : '';
  const without = provider.keys.length === 0 ? '  needs no key' : '';
  out.line(`  ${out.style('cyan', provider.name)}${isDefault}${without}`);
  out.table(
    provider.keys.map((key) => [
      key.keyId,
      key.masked,
      key.state + (key.reason === undefined ? '' : `: ${key.reason}`),
    ]),
    '    ',
  );
}

/** Prints how the recording of usage is. */
function printUsageState({ database, queued, queuedBytes }: UsageStatusReport): string {
  return queued ? `${database}: events are queued on disk (${queuedBytes} bytes)` : database;
}

/** Prints a duration with its two largest units. */
function printDuration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const units: readonly (readonly [number, string])[] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ];
  const first = units.findIndex(([count]) => count > 0);
  if (first === -1) return '0 s';
  return units
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(' ');
}
