/**
 * `aipassd` alone: tells what is there. Always ends with 0, whether or not a daemon runs.
 */

import { AipassError } from '../../base/errors.ts';
import type { VerbContext } from '../verb.ts';

/** Prints the version, the socket, whether the daemon is up, and the providers that have keys. */
export async function introspect({ out, paths, version, connect }: VerbContext): Promise<number> {
  out.line(`${out.style('bold', 'aipassd')} ${version}: holds API keys and tokens, and lends them to local programs`);
  out.line(`  socket     ${paths.socket}`, `  secrets    ${paths.secrets}`);
  try {
    const aipass = await connect();
    const status = await aipass.status();
    const providers = status.providers.map((one) => `${one.name} (${one.keys.length})`).join(', ');
    out.line(`  daemon     running, pid ${status.pid}, version ${status.version}`);
    out.line(`  providers  ${providers === '' ? 'none has a key yet' : providers}`);
  } catch (error) {
    if (!(error instanceof AipassError)) throw error;
    out.line(`  daemon     ${error.code === 'DAEMON_UNREACHABLE' ? 'not running' : error.message}`);
    if (error.hint !== undefined) out.line(`             → ${error.hint}`);
  }
  out.line('', 'Run aipassd --help for the commands.');
  return 0;
}
