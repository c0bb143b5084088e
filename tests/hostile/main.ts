/**
 * The kit as a program: `node tests/hostile/main.ts SOCKET [--op key.get] [--params '{}'] [--only NAME] [--json]`.
 * Point it at a daemon that you may disturb. Ends with 1 when an attack got through.
 */

import { parseArgs } from 'node:util';
import { runKit, type AttackReport } from './kit.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    op: { type: 'string', default: 'key.get' },
    params: { type: 'string', default: '{}' },
    only: { type: 'string', default: '' },
    json: { type: 'boolean', default: false },
  },
});
const [socket] = positionals;
if (socket === undefined) {
  process.stderr.write('usage: node tests/hostile/main.ts SOCKET [--op OP] [--params JSON] [--only NAME] [--json]\n');
  process.exit(1);
}

/** Prints a time in a column of its own width. */
function ms(value: number): string {
  return value.toFixed(2).padStart(7);
}

function print(report: AttackReport): void {
  const { name, effect, good, memory, problems } = report;
  const mb = memory === null ? '' : `  ${memory.before} → ${memory.after} → ${memory.settled} MB`;
  process.stdout.write(
    `${problems.length === 0 ? 'held' : 'FELL'}  ${name.padEnd(38)} p50 ${ms(good.p50)}  p99 ${ms(good.p99)}  max ${ms(good.longest)} ms${mb}  ${effect}\n`,
  );
  for (const problem of problems) process.stdout.write(`      ${problem}\n`);
}

const reports = await runKit({
  socket,
  op: values.op,
  params: JSON.parse(values.params),
  only: values.only,
  ...(values.json ? {} : { onReport: print }),
});
if (values.json) process.stdout.write(`${JSON.stringify(reports, null, 2)}\n`);
process.exitCode = reports.length > 0 && reports.every((report) => report.problems.length === 0) ? 0 : 1;
