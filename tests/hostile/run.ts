/**
 * `npm run hostile [-- NAME] [--json]`: the whole kit against the built daemon in a home of its
 * own.
 */

import { parseArgs } from 'node:util';
import { DaemonProcess } from '../support/daemon-process.ts';
import { makeTempHome } from '../support/temp-home.ts';
import { SCARCE_PROVIDER } from './attacks.ts';
import { runKit } from './kit.ts';
import { printReport } from './report.ts';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean', default: false } },
});
await using home = makeTempHome();
await home.writeKeys({ OPENROUTER_API_KEY: `sk-or-v1-${'a'.repeat(64)}`, SCARCE_API_KEY: 'b'.repeat(40) });
await home.writeConfig({
  providers: { [SCARCE_PROVIDER]: { baseUrl: 'http://127.0.0.1:1/v1', keys: { SCARCE_API_KEY: { maxInFlight: 1 } } } },
});
await using daemon = await DaemonProcess.start(home);
const reports = await runKit({
  socket: home.paths.socket,
  gateway: home.paths.gatewaySocket,
  op: 'key.get',
  params: { provider: 'openrouter' },
  only: positionals[0] ?? '',
  ...(values.json ? {} : { onReport: printReport }),
});
if (values.json) process.stdout.write(`${JSON.stringify(reports, null, 2)}\n`);
await daemon.stop();
process.exitCode = reports.length > 0 && reports.every((report) => report.problems.length === 0) ? 0 : 1;
