/**
 * `aipassd` alone: version, sockets, daemon and providers. Always exits with 0, whether or not a
 * daemon runs.
 */

import { dirname, join } from 'node:path';
import { AipassError } from '../../base/errors.ts';
import { defineVerb } from '../verb.ts';

/** Prints the version, the sockets, whether the daemon is up, and the providers that have keys. */
export const introspect = defineVerb({
  name: '',
  summary: 'show version, sockets, daemon and providers',
  parameters: {},
  async run(_values, { out, paths, version, connect }) {
    out.line(`${out.style('bold', 'aipassd')} ${version}`);
    const rows = [
      ['socket', paths.socket],
      ['gateway', join(dirname(paths.socket), 'gateway.sock')],
      ['secrets', paths.secrets],
    ];
    try {
      const status = await (await connect()).status();
      const providers = status.providers.map((one) => `${one.name} (${one.keys.length})`).join(', ');
      rows.push(['daemon', `running, pid ${status.pid}, version ${status.version}`]);
      rows.push(['providers', providers === '' ? 'none has a key yet' : providers]);
    } catch (error) {
      if (!(error instanceof AipassError)) throw error;
      rows.push(['daemon', error.code === 'DAEMON_UNREACHABLE' ? 'not running' : error.message]);
      if (error.hint !== undefined) rows.push(['', `→ ${error.hint}`]);
    }
    out.table(rows, { indent: 2, wrapLast: true });
    out.line('', 'Run aipassd --help for the commands.');
    return 0;
  },
});
