/**
 * `aipassd status`: the daemon at a glance, with what is wrong and what to do.
 */

import type { ProviderInfo } from '../../protocol/provider.ts';
import type { Output } from '../output.ts';
import { printDuration } from '../duration.ts';
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
      '',
      out.style('bold', 'Providers'),
    );
    for (const provider of now.providers) printProvider(provider, now.defaultProvider, out);
    if (now.providers.length === 0) out.line('  none has a key yet');
    if (now.accounts.length > 0) {
      const { printAccounts } = await import('./status-accounts.ts');
      printAccounts(now.accounts, Date.now(), out);
    }
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
