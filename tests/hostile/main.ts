/**
 * The kit as a program: `node tests/hostile/main.ts SOCKET [--op key.get] [--params '{}'] [--only
 * NAME] [--json]`. Point it at a daemon that you may disturb. Ends with 1 when an attack got
 * through.
 */

import { parseArgs } from 'node:util';
import { runKit } from './kit.ts';
import { printReport } from './report.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    op: { type: 'string', default: 'key.get' },
    params: { type: 'string', default: '{}' },
    only: { type: 'string', default: '' },
    gateway: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});
const [socket] = positionals;
if (socket === undefined) {
  process.stderr.write('usage: node tests/hostile/main.ts SOCKET [--op OP] [--params JSON] [--only NAME] [--json]\n');
  process.exit(1);
}

const reports = await runKit({
  socket,
  op: values.op,
  params: JSON.parse(values.params),
  only: values.only,
  ...(values.gateway === undefined ? {} : { gateway: values.gateway }),
  ...(values.json ? {} : { onReport: printReport }),
});
if (values.json) process.stdout.write(`${JSON.stringify(reports, null, 2)}\n`);
process.exitCode = reports.length > 0 && reports.every((report) => report.problems.length === 0) ? 0 : 1;
